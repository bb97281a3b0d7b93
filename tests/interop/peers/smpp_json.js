'use strict';
// What the client and the carrier share: PDUs of `smpp` as JSON lines, commands as JSON lines from stdin.

const readline = require('readline');
const smpp = require('smpp');

// `smpp` hands out texts that it has decoded; the octets are kept beside them, for comparing.
const decode = smpp.filters.message.decode;
smpp.filters.message.decode = function (value, ...more) {
  const decoded = decode.call(this, value, ...more);
  if (Buffer.isBuffer(value) && decoded !== value) decoded.octets = value;
  return decoded;
};

// A TLV that SMPP does not know, as operators have them; it must pass unchanged.
smpp.addTLV('vendor_1400', { id: 0x1400, type: smpp.types.tlv.buffer });

function emit(event, more) {
  process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
}

function plain(value) {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (value instanceof Date) return value.toISOString();
  if (value && value.octets) return value.octets.toString('hex');
  return value;
}

// Every field of a PDU; octets as hexadecimal digits, the decoded text beside them.
function fields(pdu) {
  const named = { command: pdu.command, status: pdu.command_status, sequence: pdu.sequence_number };
  for (const key of Object.keys(pdu)) {
    if (key.startsWith('command') || key === 'sequence_number') continue;
    named[key] = plain(pdu[key]);
  }
  const message = pdu.message_payload || pdu.short_message;
  if (message && typeof message.message === 'string') named.text = message.message;
  return named;
}

// Logs both directions of a session, its end, and its errors.
function watch(session, more) {
  session.socket.setNoDelay(true);
  session.on('pdu', (pdu) => emit('in', { ...more(), ...fields(pdu) }));
  session.on('send', (pdu) => emit('out', { ...more(), ...fields(pdu) }));
  session.on('close', () => emit('closed', more()));
  session.on('error', (error) => emit('error', { ...more(), text: String(error) }));
}

// Octets come as hexadecimal digits, a text as `text`: then `smpp` encodes it.
function message(order) {
  const made = { ...order };
  for (const key of ['short_message', 'message_payload', 'network_error_code', 'vendor_1400']) {
    if (typeof made[key] === 'string') made[key] = Buffer.from(made[key], 'hex');
  }
  if (made.text !== undefined) made.short_message = made.text;
  delete made.text;
  return made;
}

function onOrders(run) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    try {
      run(JSON.parse(line));
    } catch (error) {
      emit('error', { text: String(error.stack || error) });
    }
  });
  lines.on('close', () => process.exit(0));
}

module.exports = { smpp, emit, watch, message, onOrders };
