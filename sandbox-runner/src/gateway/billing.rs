//! What model calls cost, and how much a session may spend on them.

use std::collections::BTreeMap;

use protocol::ledger::Tokens;
use serde::Deserialize;

/// Prices by `provider/name`, and the budget of each session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Billing {
    prices: BTreeMap<String, Price>,
    /// In millionths of a dollar; none is no limit.
    budget: Option<u64>,
}

/// In dollars for a million tokens, which is in millionths of a dollar for one.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    input: f64,
    output: f64,
    /// As `input` when absent.
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    #[error("the prices are not JSON of the documented form")]
    Form(#[source] serde_json::Error),
    #[error("a price is negative or no number")]
    Price,
    #[error("the budget is not a positive number of dollars")]
    Budget,
    #[error("a budget needs prices")]
    NoPrices,
}

impl Billing {
    /// `prices` is JSON; `budget` is in dollars.
    pub fn parse(prices: Option<&str>, budget: Option<&str>) -> Result<Self, BillingError> {
        let prices: BTreeMap<String, Price> = match prices {
            Some(json) => serde_json::from_str(json).map_err(BillingError::Form)?,
            None => BTreeMap::new(),
        };
        if !prices.values().all(Price::is_sound) {
            return Err(BillingError::Price);
        }
        let budget = match budget {
            None => None,
            Some(_) if prices.is_empty() => return Err(BillingError::NoPrices),
            Some(text) => {
                let dollars: f64 = text.trim().parse().map_err(|_| BillingError::Budget)?;
                // A billion dollars still fits.
                if !(dollars > 0.0 && dollars <= 1e9) {
                    return Err(BillingError::Budget);
                }
                Some((dollars * 1e6).round() as u64)
            }
        };
        Ok(Self { prices, budget })
    }

    pub(super) fn price(&self, provider: &str, model: &str) -> Option<Price> {
        self.prices.get(&format!("{provider}/{model}")).copied()
    }

    /// Why there may be no further call to a model, if so.
    pub(super) fn refusal(&self, price: Option<Price>, spent: u64) -> Option<String> {
        let budget = self.budget?;
        if spent >= budget {
            return Some(format!(
                "This session has spent ${:.2} on models, and its budget is ${:.2}. An operator can raise SESSION_BUDGET_USD; a new session has a budget of its own.",
                dollars(spent),
                dollars(budget),
            ));
        }
        // Whoever could name a model without a price could spend without a limit.
        price.is_none().then(|| {
            "Sessions have a budget here, and this model has no price. An operator can add it to MODEL_PRICES; another model may have one.".to_owned()
        })
    }
}

fn dollars(microdollars: u64) -> f64 {
    microdollars as f64 / 1e6
}

impl Price {
    fn is_sound(&self) -> bool {
        [
            Some(self.input),
            Some(self.output),
            self.cache_read,
            self.cache_write,
        ]
        .into_iter()
        .flatten()
        .all(|price| (0.0..=1e6).contains(&price))
    }

    /// Rounded up to a millionth of a dollar.
    pub(super) fn cost(&self, tokens: Tokens) -> u64 {
        let cost = tokens.input as f64 * self.input
            + tokens.output as f64 * self.output
            + tokens.cache_read as f64 * self.cache_read.unwrap_or(self.input)
            + tokens.cache_write as f64 * self.cache_write.unwrap_or(self.input);
        cost.ceil() as u64
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const PRICES: &str = r#"{"anthropic/claude-sonnet-4-5":
        {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75},
        "openai/plain": {"input": 1, "output": 2}}"#;

    #[test]
    fn a_cost_is_the_sum_of_its_tokens_rounded_up() {
        let billing = Billing::parse(Some(PRICES), None).unwrap();
        let tokens = Tokens {
            input: 1000,
            output: 100,
            cache_read: 10_001,
            cache_write: 400,
        };
        let sonnet = billing.price("anthropic", "claude-sonnet-4-5").unwrap();
        // 3000 + 1500 + 3000.3 + 1500
        assert_eq!(sonnet.cost(tokens), 9001);
        let plain = billing.price("openai", "plain").unwrap();
        assert_eq!(plain.cost(tokens), 1000 + 200 + 10_001 + 400);
        assert_eq!(billing.price("openai", "claude-sonnet-4-5"), None);
    }

    #[test]
    fn what_is_spent_and_what_has_no_price_is_refused_only_with_a_budget() {
        let limited = Billing::parse(Some(PRICES), Some("1.50")).unwrap();
        let price = limited.price("openai", "plain");
        assert_eq!(limited.refusal(price, 1_499_999), None);
        let spent = limited.refusal(price, 1_500_000).unwrap();
        assert!(spent.contains("$1.50") && spent.contains("SESSION_BUDGET_USD"));
        assert!(limited.refusal(None, 0).unwrap().contains("MODEL_PRICES"));
        let unlimited = Billing::parse(Some(PRICES), None).unwrap();
        assert_eq!(unlimited.refusal(None, u64::MAX), None);
    }

    #[test]
    fn unusable_numbers_are_refused() {
        let prices = Some(PRICES);
        for budget in ["0", "-1", "NaN", "inf", "ten"] {
            let error = Billing::parse(prices, Some(budget)).unwrap_err();
            assert!(matches!(error, BillingError::Budget), "{budget}");
        }
        let error = Billing::parse(None, Some("5")).unwrap_err();
        assert!(matches!(error, BillingError::NoPrices));
        let negative = r#"{"a/b": {"input": -1, "output": 0}}"#;
        let error = Billing::parse(Some(negative), None).unwrap_err();
        assert!(matches!(error, BillingError::Price));
        let misspelt = r#"{"a/b": {"input": 1, "output": 0, "cached": 1}}"#;
        let error = Billing::parse(Some(misspelt), None).unwrap_err();
        assert!(matches!(error, BillingError::Form(_)));
    }
}
