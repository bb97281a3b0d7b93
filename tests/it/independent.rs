//! Against somebody else's SMPP: `smpp34`'s client binds to us, and we bind to its server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use smpp34::client::{BIND_TYPE, SMSC, SmppClient, SmppClientListener};
use smpp34::server::ESME;
use smpp34::{
    SmppConnectionInformation, SmppServer, SmppServerListener, TlvTag, bind_transceiver,
    bind_transceiver_resp, deliver_sm, deliver_sm_resp, submit_sm, submit_sm_resp,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::local::Local;

/// How long anything may take; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// smpp34 as the carrier: takes every message and delivers its receipt, and one MO.
struct Carrier {
    esme: Mutex<Option<Arc<ESME>>>,
    seen: mpsc::Sender<(Vec<u8>, String)>,
}

#[async_trait]
impl SmppServerListener for Carrier {
    async fn on_bind_transceiver(
        &self,
        request: bind_transceiver,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> bind_transceiver_resp {
        assert_eq!(
            (request.system_id.as_str(), request.password.as_str()),
            ("tidegate", "secret")
        );
        request.accept("smpp34".to_string(), Some(0x34))
    }

    async fn on_esme_bound(&self, esme: ESME, _: &String) {
        *self.esme.lock().await = Some(Arc::new(esme));
    }

    async fn on_submit_sm(
        &self,
        request: submit_sm,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> submit_sm_resp {
        let esme = self.esme.lock().await.clone().unwrap();
        let (source, destination) = (request.destination_addr.clone(), request.source_addr.clone());
        tokio::spawn(async move {
            let receipt = esme
                .deliver_sm()
                .source_addr(source.clone())
                .destination_addr(destination)
                .esm_class(0x04)
                .short_message(b"id:c-1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:")
                .tlv(TlvTag::ReceiptedMessageId, b"c-1\0".to_vec())
                .tlv(TlvTag::MessageStateTlv, [2]);
            receipt.send().await.unwrap();
            let mo = esme
                .deliver_sm()
                .source_addr(source)
                .destination_addr("12345")
                .short_message(b"STOP");
            mo.send().await.unwrap();
        });
        self.seen
            .send((request.short_message.clone(), request.destination_addr.clone()))
            .await
            .unwrap();
        request.accept("c-1".to_string())
    }
}

/// What of a delivery is looked at.
struct Delivery {
    esm_class: u8,
    destination: String,
    text: Vec<u8>,
}

/// smpp34 as the client: hands on what it gets.
struct Client {
    bound: Mutex<Option<oneshot::Sender<Arc<SMSC>>>>,
    delivered: mpsc::Sender<Delivery>,
}

#[async_trait]
impl SmppClientListener for Client {
    async fn on_smsc_bound(&self, smsc: SMSC, _: &String) {
        if let Some(bound) = self.bound.lock().await.take() {
            let _ = bound.send(Arc::new(smsc));
        }
    }

    async fn on_deliver_sm(
        &self,
        request: deliver_sm,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> deliver_sm_resp {
        let delivery = Delivery {
            esm_class: request.esm_class,
            destination: request.destination_addr.clone(),
            text: request.short_message.clone(),
        };
        self.delivered.send(delivery).await.unwrap();
        request.accept()
    }
}

#[tokio::test]
async fn smpp34_submits_through_us_to_smpp34_and_gets_its_receipt_and_an_mo() {
    // smpp34's server wants a port beforehand; one that was free a moment ago is as good as it gets.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (seen, mut submits) = mpsc::channel(4);
    let carrier = Arc::new(Carrier {
        esme: Mutex::new(None),
        seen,
    });
    let mut server = SmppServer::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port, carrier);
    server.start().await;
    let gateway = Local::start(SocketAddr::from(([127, 0, 0, 1], port)), "");

    let (bound, is_bound) = oneshot::channel();
    let (delivered, mut deliveries) = mpsc::channel(4);
    let listener = Arc::new(Client {
        bound: Mutex::new(Some(bound)),
        delivered,
    });
    let mut client = SmppClient::new(
        "127.0.0.1".to_string(),
        gateway.esme().port(),
        false,
        BIND_TYPE::TRX,
        "load".to_string(),
        "secret".to_string(),
        String::new(),
        0,
        0,
        String::new(),
        listener,
        10,
    );
    client.start().await;
    let smsc = tokio::time::timeout(PATIENCE, is_bound).await.unwrap().unwrap();
    let answer = smsc
        .submit_sm()
        .source_addr("12345")
        .destination_addr("447700900123")
        .registered_delivery(1)
        .short_message(b"hello from elsewhere")
        .send()
        .await
        .unwrap();

    let (text, destination) = tokio::time::timeout(PATIENCE, submits.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (text.as_slice(), destination.as_str()),
        (&b"hello from elsewhere"[..], "447700900123")
    );
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let delivery = tokio::time::timeout(PATIENCE, deliveries.recv())
            .await
            .unwrap()
            .unwrap();
        if delivery.esm_class & 0x3c == 0x04 {
            let text = String::from_utf8(delivery.text).unwrap();
            let id = answer.message_id.clone().unwrap();
            assert!(text.starts_with(&format!("id:{id} ")), "{text}");
            assert!(text.contains("stat:DELIVRD"), "{text}");
            kinds.push("dlr");
        } else {
            assert_eq!(delivery.text, b"STOP");
            assert_eq!(delivery.destination, "12345");
            kinds.push("mo");
        }
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["dlr", "mo"]);
    // Both peers answer our unbind, so the end takes no grace.
    tokio::task::spawn_blocking(move || drop(gateway)).await.unwrap();
    client.stop().await;
    server.stop().await;
}
