//! How the file of the register has what it holds.

use super::Register;
use crate::small_file::register::{Filed, Form};

impl Filed for Register {
    const FILE: &'static str = "access-register";
    const FILE_MAX: u64 = 8 << 20;
    const FORM: Form = Form::Below;
    const NAME: &'static str = "break-glass";
    const AT_STAKE: &'static str = "no account that is to be told is forgotten: put the file back as it was, or remove it and \
                                    tell them by the audit log";
}
