//! Every exception of a configuration from TLS 1.3 (SEC-1), for the audit log and the metrics.

use tidegate_codec::identity::SystemId;

use crate::Config;
use crate::tls::{Exception, Transport};

/// One that stands in the file, whether it still holds or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excepted {
    /// Its key: `listen[0].tls.tls12`, `http.admin_tls.tls12`, `account.shop.transport_exception`, `carrier.north.clear_text`.
    pub key: String,
    /// Whose account it is for, where it is for one.
    pub account: Option<SystemId>,
    /// What is enough as long as it holds.
    pub least: Transport,
    /// In whose name, and until when.
    pub exception: Exception,
}

impl Config {
    /// All of them, in the order of the file's tables.
    pub fn exceptions(&self) -> Vec<Excepted> {
        let older = |key: String, exception: &Exception| Excepted {
            key,
            account: None,
            least: Transport::Tls12,
            exception: exception.clone(),
        };
        let listen = self.listen.iter().enumerate().filter_map(|(place, listener)| {
            let exception = listener.tls.as_ref()?.tls12.as_ref()?;
            Some(older(format!("listen[{place}].tls.tls12"), exception))
        });
        let admin = self.http.admin_tls.as_ref().and_then(|tls| tls.tls12.as_ref());
        let admin = admin.map(|exception| older("http.admin_tls.tls12".to_owned(), exception));
        let accounts = self.accounts.iter().filter_map(|account| {
            let (least, exception) = account.transport.exception.as_ref()?;
            Some(Excepted {
                key: format!("account.{}.transport_exception", account.system_id),
                account: Some(account.system_id),
                least: *least,
                exception: exception.clone(),
            })
        });
        let carriers = self.carriers.iter().filter_map(|carrier| {
            Some(Excepted {
                key: format!("carrier.{}.clear_text", carrier.name),
                account: None,
                least: Transport::Clear,
                exception: carrier.clear_text.clone()?,
            })
        });
        listen.chain(admin).chain(accounts).chain(carriers).collect()
    }
}
