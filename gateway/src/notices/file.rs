//! How the file of the register has what it holds.

use super::Register;
use crate::small_file::register::{Filed, Form};

impl Filed for Register {
    const FILE: &'static str = "notices";
    const FILE_MAX: u64 = 64 << 20;
    const FORM: Form = Form::Beside;
    const NAME: &'static str = "notices";
    const FULL_NAME: &'static str = "notices to accounts";
    const AT_STAKE: &'static str = "nobody who is to be told is forgotten: put the file back as it was, or remove it and tell \
                                    them by the audit log";
}
