// The WebSocket server as seen from here: why a connection does not come about, and, if the
// server is a pusher-server whose metrics can be read, what has reached it.

'use strict';

const http = require('node:http');
const https = require('node:https');
const { config } = require('./settings');

const PATIENCE = 3000;
const METRICS = { published: 'pusher_server_publishes_total', refused: 'pusher_server_requests_refused_total' };

/** Hints for a connection that the server refused, or that did not come about. */
async function connectionHints(refusal) {
  const code = Number.parseInt(refusal, 10);
  if (code === 4001 || code === 4003) return ['PUSHER_APP_KEY: it must be the key of an enabled app in the server\'s configuration.'];
  if (code === 4004) return ['The app has reached its limit of connections (limits.connections).'];
  if (code === 4009) return ['allowed_origins of the app: this script sends no Origin. Allow it for the test, or try in a browser.'];
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
  const text = String(code);
  if (text === 'ECONNREFUSED') return [`Nothing listens there: does the server run? Try: ${look}`];
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return ['PUSHER_HOST: this name is unknown here.'];
  if (/CERT|SELF_SIGNED|LEAF_SIGNATURE|ISSUER/.test(text)) return [`The certificate is not accepted (${text}): has it expired, is it for this host name, does this machine trust its issuer?`];
  if (/SSL|EPROTO|TLS/.test(text)) return ['PUSHER_SCHEME=https, but this port speaks plain HTTP: PUSHER_SCHEME=http, or the port of TLS.'];
  if (text === 'ETIMEDOUT') return [`The port does not answer: a firewall, a wrong PUSHER_HOST, or a server that hangs. Try: ${look}`];
  if (config.scheme === 'http' && /ECONNRESET|HPE_|socket hang up/.test(text)) return [`The port does not speak plain HTTP (${text}): PUSHER_SCHEME=https?`];
  return [`No connection (${text}): does the server run? Try: ${look}`];
}

/**
 * Counters of the server: {published, refused: {reason: count}}; null without METRICS_URL.
 * An error says why they cannot be read.
 */
async function readCounters() {
  if (!config.metrics) return null;
  const headers = config.metricsToken ? { Authorization: `Bearer ${config.metricsToken}` } : {};
  const response = await fetch(config.metrics, { headers, signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`METRICS_URL answered ${response.status}`);
  const counters = { published: 0, refused: {} };
  for (const line of (await response.text()).split('\n')) {
    const sample = /^(\w+)\{([^}]*)\} ([\d.e+]+)$/.exec(line);
    if (!sample) continue;
    if (sample[1] === METRICS.published) counters.published += Number(sample[3]);
    if (sample[1] !== METRICS.refused) continue;
    const reason = /reason="([^"]*)"/.exec(sample[2])?.[1] ?? '';
    counters.refused[reason] = (counters.refused[reason] ?? 0) + Number(sample[3]);
  }
  return counters;
}

/** The difference of two readings: {published, reasons}, events accepted and reasons of refusals. */
function growth(before, after) {
  const reasons = Object.keys(after.refused).filter((reason) => after.refused[reason] > (before.refused[reason] ?? 0));
  return { published: after.published - before.published, reasons };
}

module.exports = { connectionHints, growth, readCounters };
