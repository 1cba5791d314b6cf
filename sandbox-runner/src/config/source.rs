//! One value of the environment at a time: its text or its default, parsed and checked.

use std::collections::BTreeSet;

use protocol::egress::HostName;

use super::ConfigError;
use super::variable::described;
use crate::gateway::billing::{Billing, BillingError};
use crate::image::Place;
use crate::layer::depot::{DepotConfig, InvalidDepot};

pub(super) struct Source<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    /// The value or the default, if there is one.
    pub(super) fn optional(&self, name: &'static str) -> Option<String> {
        (self.lookup)(name).or_else(|| {
            let default = described(name).default;
            (!default.is_empty()).then(|| default.to_owned())
        })
    }

    pub(super) fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        let about = described(name).about;
        self.optional(name)
            .ok_or(ConfigError::Missing { name, about })
    }

    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<T, ConfigError> {
        self.checked(name, |_| true)
    }

    pub(super) fn checked<T: std::str::FromStr>(
        &self,
        name: &'static str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<T, ConfigError> {
        let value = self
            .required(name)?
            .parse()
            .map_err(|_| self.invalid(name))?;
        if fits(&value) {
            Ok(value)
        } else {
            Err(self.invalid(name))
        }
    }

    /// An absolute HTTP address without the slash at its end, so that a path can follow it.
    pub(super) fn url(&self, name: &'static str, value: String) -> Result<String, ConfigError> {
        let url = reqwest::Url::parse(&value).map_err(|_| self.invalid(name))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || !url.has_host() {
            return Err(self.invalid(name));
        }
        Ok(value.trim_end_matches('/').to_owned())
    }

    /// An address that sandboxes may be able to reach.
    pub(super) fn place(&self, name: &'static str) -> Result<Option<Place>, ConfigError> {
        let place = |url: String| Place::parse(&url).ok_or_else(|| self.invalid(name));
        self.optional(name).map(place).transpose()
    }

    pub(super) fn depot(&self) -> Result<Option<DepotConfig>, ConfigError> {
        let Some(url) = self.optional("DEPOT_URL") else {
            return Ok(None);
        };
        let keys = ["DEPOT_ACCESS_KEY_ID", "DEPOT_SECRET_ACCESS_KEY"];
        let [id, secret] = keys.map(|name| self.optional(name));
        let config = DepotConfig::parse(&url, id, secret);
        config.map(Some).map_err(|error| match error {
            InvalidDepot::NoKeys => ConfigError::Missing {
                name: "DEPOT_ACCESS_KEY_ID",
                about: "a bucket needs it and DEPOT_SECRET_ACCESS_KEY",
            },
            InvalidDepot::NoAddress => self.invalid("DEPOT_URL"),
        })
    }

    /// One line without what git gives a meaning in an identity.
    pub(super) fn line(&self, name: &'static str) -> Result<String, ConfigError> {
        self.checked(name, |text: &String| {
            !text.contains(['<', '>', '\n', '\r', '\0'])
        })
    }

    pub(super) fn billing(&self) -> Result<Billing, ConfigError> {
        let prices = match self.optional("MODEL_PRICES") {
            Some(path) if path.starts_with('/') => {
                Some(std::fs::read_to_string(path).map_err(ConfigError::Prices)?)
            }
            inline => inline,
        };
        let budget = self.optional("SESSION_BUDGET_USD");
        Billing::parse(prices.as_deref(), budget.as_deref()).map_err(|source| {
            let name = match source {
                BillingError::Form(_) | BillingError::Price => "MODEL_PRICES",
                BillingError::Budget | BillingError::NoPrices => "SESSION_BUDGET_USD",
            };
            let about = described(name).about;
            ConfigError::Billing {
                name,
                about,
                source,
            }
        })
    }

    pub(super) fn hosts(&self, name: &'static str) -> Result<BTreeSet<HostName>, ConfigError> {
        let hosts = self.optional(name).unwrap_or_default();
        hosts
            .split_whitespace()
            .map(|host| HostName::parse(host).map_err(|_| self.invalid(name)))
            .collect()
    }

    pub(super) fn invalid(&self, name: &'static str) -> ConfigError {
        ConfigError::Invalid {
            name,
            about: described(name).about,
        }
    }
}
