//! The message that a verb is about, as options.

use tidegate_codec::category::Category;

use crate::explain::Question;

#[derive(Debug, clap::Args)]
pub(super) struct Message {
    /// Whose message.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: String,
    /// Its sender: +447700900123, digits (TON 0), or a name (TON 5).
    #[arg(long, value_name = "ADDRESS", default_value = "", allow_hyphen_values = true)]
    from: String,
    /// TON and NPI of the sender instead, such as 3,0.
    #[arg(long, value_name = "TON,NPI", value_parser = pair)]
    from_as: Option<(u8, u8)>,
    /// Its recipient, written in the same ways.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// TON and NPI of the recipient instead.
    #[arg(long, value_name = "TON,NPI", value_parser = pair)]
    to_as: Option<(u8, u8)>,
    /// Its text.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    text: String,
    /// How the text is said to be written, 0 to 255; by default 0, or 8 where it needs that.
    #[arg(long, value_name = "N")]
    data_coding: Option<u8>,
    /// What it says it is for: marketing, transactional, otp or emergency; by default it does not.
    #[arg(long, value_name = "WORD", value_parser = category)]
    category: Option<Category>,
    /// Its service_type.
    #[arg(long, value_name = "WORD", default_value = "")]
    service_type: String,
}

impl Message {
    /// Whose it is.
    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// As a question, asked for a time in unix milliseconds.
    pub(super) fn question(&self, at_ms: Option<u64>) -> Question {
        Question {
            account: self.account.clone(),
            from: self.from.clone(),
            from_as: self.from_as,
            to: self.to.clone(),
            to_as: self.to_as,
            text: self.text.clone(),
            data_coding: self.data_coding,
            category: self.category,
            service_type: self.service_type.clone(),
            at_ms,
        }
    }
}

fn category(text: &str) -> Result<Category, String> {
    Category::from_word(text).ok_or_else(|| {
        let words = Category::ALL.map(Category::word);
        format!("one of {}", words.join(", "))
    })
}

fn pair(text: &str) -> Result<(u8, u8), String> {
    let read = || {
        let (ton, npi) = text.split_once(',')?;
        Some((ton.trim().parse().ok()?, npi.trim().parse().ok()?))
    };
    read().ok_or_else(|| "two numbers of 0 to 255, such as 1,1".to_owned())
}
