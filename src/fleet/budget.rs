//! What warm sandboxes may cost in a day: pure.
//!
//! A sandbox that waits costs what its machine costs, whether or not anybody takes it. There are
//! never more than what is left of the day's budget pays for through one more hour, so the budget is
//! approached and not overrun, however seldom runners are heard of.

const HOUR_MS: u64 = 3_600_000;

/// Most dollars that are taken for a sum: the sums that follow still fit.
const MOST_DOLLARS: f64 = 1e6;

/// In millionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// What one warm sandbox costs in an hour.
    hour: Option<u64>,
    /// What all of them may cost in a day (in UTC).
    day: Option<u64>,
}

impl Budget {
    /// Both in dollars, or empty. `None` for what is no price, and for a budget without a price.
    pub fn parse(hour: &str, day: &str) -> Option<Self> {
        let (hour, day) = (dollars(hour)?, dollars(day)?);
        match (hour, day) {
            (None | Some(0), Some(_)) => None,
            _ => Some(Self { hour, day }),
        }
    }

    pub fn day(&self) -> Option<u64> {
        self.day
    }

    /// What it costs that sandboxes waited for `ms`, all together.
    pub fn cost(&self, ms: u64) -> Option<u64> {
        let cost = u128::from(self.hour?) * u128::from(ms) / u128::from(HOUR_MS);
        u64::try_from(cost).ok()
    }

    /// Most sandboxes that may wait now, after they waited for `ms` today.
    pub fn entries(&self, ms: u64) -> Option<u64> {
        let left = self.day?.saturating_sub(self.cost(ms)?);
        left.checked_div(self.hour?)
    }
}

fn dollars(text: &str) -> Option<Option<u64>> {
    if text.trim().is_empty() {
        return Some(None);
    }
    let dollars: f64 = text.trim().parse().ok()?;
    let fits = (0.0..=MOST_DOLLARS).contains(&dollars);
    fits.then(|| Some((dollars * 1e6).round() as u64))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_hour_by_hour_and_never_overrun() {
        let budget = Budget::parse("0.10", "1").unwrap();
        let after = |hours: f64| budget.entries((hours * HOUR_MS as f64) as u64);
        assert_eq!(after(0.0), Some(10));
        assert_eq!(after(7.5), Some(2));
        assert_eq!(after(9.0), Some(1));
        assert_eq!(after(9.5), Some(0));
        assert_eq!(after(20.0), Some(0));
        assert_eq!(budget.cost(9 * HOUR_MS), Some(900_000));
    }

    #[test]
    fn without_a_budget_there_is_no_limit_and_without_a_price_no_cost() {
        let priced = Budget::parse("0.1", "").unwrap();
        assert_eq!(
            (priced.entries(0), priced.cost(HOUR_MS)),
            (None, Some(100_000))
        );
        let free = Budget::parse("", " ").unwrap();
        assert_eq!((free.entries(0), free.cost(HOUR_MS)), (None, None));
    }

    #[test]
    fn what_is_no_sum_and_a_budget_without_a_price_are_refused() {
        for (hour, day) in [
            ("", "5"),
            ("0", "5"),
            ("cheap", ""),
            ("-1", ""),
            ("1", "1e9"),
            ("NaN", "1"),
        ] {
            assert_eq!(Budget::parse(hour, day), None, "{hour} {day}");
        }
    }
}
