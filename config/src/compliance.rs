//! What rules ask of everybody's messages.

use crate::country::Country;
use crate::section::Section;
use crate::value::text;

/// Countries that may be named at most: all there are.
const COUNTRIES_MAX: usize = 256;

/// Table `[compliance]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compliance {
    /// Key `approval_required`, default `[]`, at most 256: countries to which an account sends nothing before one of its
    /// `approvals` is for them (FRD-2). Sorted.
    pub approval_required: Vec<Country>,
}

pub(crate) fn read(mut section: Section<'_>) -> Compliance {
    let countries = section.list("approval_required", 0..=COUNTRIES_MAX, text(Country::parse));
    let mut approval_required = countries.unwrap_or_default();
    approval_required.sort_unstable();
    approval_required.dedup();
    section.finish(&[]);
    Compliance { approval_required }
}
