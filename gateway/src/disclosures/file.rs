//! How the file of the register has what it holds.

use super::Register;
use crate::small_file::register::{Filed, Form};

impl Filed for Register {
    const FILE: &'static str = "disclosure-register";
    const FILE_MAX: u64 = 64 << 20;
    const FORM: Form = Form::Below;
    const NAME: &'static str = "disclosures";
    const AT_STAKE: &'static str =
        "no account that is to be told is forgotten: put the file back as it was, with its key ring";
}
