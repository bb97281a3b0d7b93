'use strict';
// `smpp` as an ESME; the vocabulary is that of all ESME peers (README.md, "How to add a peer").

const { smpp, emit, watch, message, onOrders } = require('./smpp_json.js');

const links = new Map();

function bind(link, { port, kind, ...order }) {
  const session = smpp.connect({ host: '127.0.0.1', port }, () => {
    const local = session.socket.localPort;
    watch(session, () => ({ link, port: local }));
    session[`bind_${kind}`](order);
  });
  session.on('deliver_sm', (pdu) => session.send(pdu.response()));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response(), () => session.close()));
  session.on('unbind_resp', () => session.close());
  links.set(link, session);
}

onOrders(({ do: what, link = 'main', ...order }) => {
  if (what === 'bind') bind(link, order);
  else if (what === 'submit') {
    emit('submitted', { link, parts: 1 });
    links.get(link).submit_sm(message(order));
  } else links.get(link)[what](message(order));
});
