// The WebSocket server as seen from here: why a connection does not come about, and, if the
// server is a pusher-server whose metrics can be read, what has reached it.

'use strict';

const http = require('node:http');
const https = require('node:https');
const { causeOf, certificateHint } = require('./network');
const { config } = require('./settings');

const PATIENCE = 3000;
const METRICS = {
  published: 'pusher_server_publishes_total',
  refused: 'pusher_server_requests_refused_total',
  limited: 'pusher_server_rate_limited_total',
};
/** Close code -> hint. For others below 5000 the server's log has the cause. */
const CODES = {
  4000: 'The app takes TLS only (tls_only): PUSHER_SCHEME=https, with the port of TLS in PUSHER_PORT.',
  4001: 'PUSHER_APP_KEY: it must be the key of an app in the server\'s configuration.',
  4003: 'The app is disabled in the server\'s configuration (enabled).',
  4005: 'PUSHER_PATH: it must be the server\'s path_prefix, or what the proxy in front of it takes away.',
  4009: 'allowed_origins of the app: this script sends no Origin. Allow it for the test ("*"), or try in a browser.',
};
const FULL = 'The app has reached its limit of connections (limits.connections): raise it, or close other clients.';
const BUSY = 'The server takes no client now: it is full, restarts, or does not reach its database or Redis.';

/** Hints for a connection that the server refused, or that did not come about. */
async function connectionHints(refusal) {
  const code = Number.parseInt(refusal, 10);
  if (code >= 4000) {
    const full = code === 4004 || /quota/.test(refusal);
    const known = full ? FULL : CODES[code] ?? (code < 4200 && code >= 4100 ? BUSY : null);
    return [...(known ? [known] : []), 'The server\'s log has a line "connection refused" with the cause.'];
  }
  return [...await probe(), 'PUSHER_HOST, PUSHER_PORT, PUSHER_SCHEME, PUSHER_PATH: are they right as seen from this machine?'];
}

async function probe() {
  const look = `curl -i ${config.server}/up`;
  const answer = await askForUpgrade();
  if (answer.status === 101) return [`The server accepts connections now (${look}): was it restarting?`];
  if (answer.status) return statusHints(answer.status, look);
  return errorHints(answer.code, look);
}

/** Status of the answer to a WebSocket's first request (101: accepted), or the code of an error. */
function askForUpgrade() {
  const client = config.scheme === 'https' ? https : http;
  return new Promise((resolve) => {
    const call = client.request({
      host: config.host,
      port: config.port,
      path: `${config.path}/app/${encodeURIComponent(config.key)}?protocol=7`,
      timeout: PATIENCE,
      headers: {
        Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    });
    const end = (answer) => {
      resolve(answer);
      call.destroy();
    };
    call.on('upgrade', (response, socket) => {
      socket.on('error', () => {});
      end({ status: 101 });
    });
    call.on('response', ({ statusCode }) => end({ status: statusCode }));
    call.on('timeout', () => end({ code: 'ETIMEDOUT' }));
    call.on('error', (error) => end({ code: error.code ?? error.message }));
    call.end();
  });
}

function statusHints(status, look) {
  if (status === 502 || status === 503 || status === 504) return [`Only a proxy answers (${status}): does the server behind it run?`];
  if (status >= 300 && status < 400) return [`The port redirects (${status}): PUSHER_SCHEME=https with PUSHER_PORT=443?`];
  const wantsTls = 'A port that speaks TLS answers so to plain HTTP: PUSHER_SCHEME=https?';
  return [
    ...(status === 400 && config.scheme === 'http' ? [wantsTls] : []),
    `The port answers ${status} instead of a WebSocket. Behind a proxy: does it pass the upgrade on (Upgrade and Connection headers)?`,
    'PUSHER_PATH: does the proxy serve the server below a path, such as /ws?',
    `Is it this server that listens there? Try: ${look}`,
  ];
}

function errorHints(code, look) {
  switch (causeOf(code)) {
    case 'refused': return [`Nothing listens there: does the server run? Try: ${look}`];
    case 'name': return ['PUSHER_HOST: this name is unknown here.'];
    case 'certificate': return [certificateHint('the server', code)];
    case 'plain': return ['PUSHER_SCHEME=https, but this port speaks plain HTTP: PUSHER_SCHEME=http, or the port of TLS.'];
    case 'silent': return [`The port does not answer: a firewall, a wrong PUSHER_HOST, or a server that hangs. Try: ${look}`];
    case 'cut': if (config.scheme === 'http') return [`The port does not speak plain HTTP (${code}): PUSHER_SCHEME=https?`];
  }
  return [`No connection (${code}): does the server run? Try: ${look}`];
}

/**
 * Counters of the server: {published, refused: {reason: count}}, of the app PUSHER_APP_ID if it is
 * given; null without METRICS_URL. An error says why they cannot be read.
 */
async function readCounters() {
  if (!config.metrics) return null;
  const headers = config.metricsToken ? { Authorization: `Bearer ${config.metricsToken}` } : {};
  const response = await fetch(config.metrics, { headers, signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  const text = await response.text();
  if (!/^pusher_server_/m.test(text)) throw new Error('the answer has no metric of pusher-server');
  const counters = { published: 0, refused: {} };
  const refuse = (reason, count) => {
    counters.refused[reason] = (counters.refused[reason] ?? 0) + count;
  };
  for (const { name, labels, value } of samples(text)) {
    const ours = !config.appId || labels.app === config.appId;
    if (name === METRICS.published && ours) counters.published += value;
    // An unknown key is no app's, and a wrong id is counted at the app of the key.
    if (name === METRICS.refused && (ours || !labels.app || labels.reason === 'wrong_app')) refuse(labels.reason, value);
    if (name === METRICS.limited && ours && labels.rate === 'publish') refuse('rate_publish', value);
  }
  return counters;
}

/** Samples with labels: {name, labels, value}. */
function* samples(text) {
  for (const line of text.split('\n')) {
    const sample = /^(\w+)\{(.*)\} ([\d.e+]+)$/.exec(line);
    if (!sample) continue;
    const labels = Object.fromEntries([...sample[2].matchAll(/(\w+)="([^"]*)"/g)].map(([, label, value]) => [label, value]));
    yield { name: sample[1], labels, value: Number(sample[3]) };
  }
}

/** The difference of two readings: {published, reasons}, events accepted and reasons of refusals. */
function growth(before, after) {
  const reasons = Object.keys(after.refused).filter((reason) => after.refused[reason] > (before.refused[reason] ?? 0));
  return { published: after.published - before.published, reasons };
}

module.exports = { connectionHints, growth, readCounters };
