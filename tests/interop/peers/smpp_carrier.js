'use strict';
// `smpp` as a carrier's SMSC that we bind to. It does what it is told:
//   listen {port}            close {}                 stops listening and cuts every session off
//   policy {bind, submit, hold}: the status of binds and of submits; held submits are answered by `release {}`
//   deliver {...}            a deliver_sm on the newest session that can receive
//   enquire_link {}          unbind {}                on the newest session

const { smpp, emit, watch, message, onOrders } = require('./smpp_json.js');

let server = null;
let sessions = [];
let next = 0;
let held = [];
const policy = { bind: 0, submit: 0, hold: false };

function answerSubmit(session, pdu) {
  if (policy.submit) session.send(pdu.response({ command_status: policy.submit }));
  else session.send(pdu.response({ message_id: `carrier-${++next}` }));
}

function accept(session) {
  const port = session.socket.remotePort;
  watch(session, () => ({ port }));
  for (const kind of ['transceiver', 'transmitter', 'receiver']) {
    session.on(`bind_${kind}`, (pdu) => {
      if (policy.bind) {
        session.send(pdu.response({ command_status: policy.bind }), () => session.close());
        return;
      }
      session.send(pdu.response({ system_id: 'smpp-carrier', sc_interface_version: 0x34 }));
      session.receives = kind !== 'transmitter';
      sessions.push(session);
    });
  }
  for (const submit of ['submit_sm', 'data_sm']) {
    session.on(submit, (pdu) => {
      if (policy.hold) held.push([session, pdu]);
      else answerSubmit(session, pdu);
    });
  }
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response(), () => session.close()));
  session.on('unbind_resp', () => session.close());
  session.on('close', () => {
    sessions = sessions.filter((other) => other !== session);
  });
}

const orders = {
  listen({ port }) {
    server = smpp.createServer(accept);
    server.listen(port, '127.0.0.1', () => emit('listening', { port }));
  },
  close() {
    server.close(() => emit('stopped', {}));
    for (const session of [...server.sessions]) session.destroy();
  },
  policy(order) {
    Object.assign(policy, order);
    emit('policy', policy);
  },
  release() {
    policy.hold = false;
    for (const [session, pdu] of held) answerSubmit(session, pdu);
    held = [];
  },
  deliver(order) {
    const session = sessions.filter((each) => each.receives).pop();
    if (!session) throw Error('no session that receives');
    session.deliver_sm(message(order));
  },
  enquire_link() {
    sessions[sessions.length - 1].enquire_link();
  },
  unbind() {
    sessions[sessions.length - 1].unbind();
  },
};

onOrders(({ do: what, ...order }) => orders[what](order));
