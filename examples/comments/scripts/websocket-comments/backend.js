// The backend's HTTP side: requests as the app sends them, and what a wrong status means.

'use strict';

const http = require('node:http');
const https = require('node:https');
const { Failure } = require('./failure');
const { causeOf, certificateHint } = require('./network');
const { config } = require('./settings');

const SERVER_ERROR = [
  'The backend itself failed: look into its log (Laravel: storage/logs/laravel.log) for the exception.',
  'A setting that is missing is a frequent cause: PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET in .env, then php artisan config:clear.',
  'With QUEUE_CONNECTION=sync a broadcast that fails becomes a 500.',
];

/** Hints for a status that means the same on every path; null if only the path can tell. */
function generalHints(answer) {
  const { status, location } = answer;
  if (status === 502 || status === 504) return ['The proxy in front of the backend got no answer from it: does PHP run? Look into the proxy\'s log.'];
  if (status === 503) return ['Laravel is in maintenance mode (php artisan up), or the proxy finds no backend.'];
  if (status >= 500) return SERVER_ERROR;
  if (status === 400 && /plain HTTP/i.test(answer.body)) return ['API_URL begins with http, but this port wants https.'];
  if (status === 429) return ['The backend limits requests (throttle): wait a minute, or raise the limit for this test.'];
  if (status >= 300 && status < 400) {
    if (/\/login\b/.test(location)) return ['Redirected to the login page: the route is in the "web" group. Put it behind auth:sanctum. See laravel/bootstrap.'];
    return [`Redirected to ${location || 'elsewhere'}: give that address in API_URL (http or https? with www?).`];
  }
  if (typeof answer.body === 'string' && /^\s*</.test(answer.body) && status < 300) {
    return ['The answer is a page, not JSON: API_URL leads to a web site. Is the path right?'];
  }
  return null;
}

/** `hints`: an array, or a function of the status. */
function expectStatus(answer, wanted, what, hints) {
  const page = wanted.includes(answer.status) && generalHints(answer);
  if (wanted.includes(answer.status) && !page) return;
  const specific = typeof hints === 'function' ? hints(answer.status) : hints;
  throw new Failure(`${what} answered ${answer.status}: ${preview(answer.body)}`, generalHints(answer) ?? specific);
}

function request(method, path, person, body, socketId) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (person) headers.Authorization = `Bearer ${person.token}`;
  if (socketId) headers['X-Socket-ID'] = socketId; // the connection that toOthers() leaves out
  return send(method, path, headers, body === undefined ? undefined : JSON.stringify(body));
}

function postAuthorization(person, channel, socketId) {
  const headers = {
    Accept: 'application/json',
    Authorization: `Bearer ${person.token}`,
    'Content-Type': 'application/x-www-form-urlencoded',
  };
  return send('POST', config.authPath, headers, new URLSearchParams({ socket_id: socketId, channel_name: channel }).toString());
}

async function send(method, path, headers, body) {
  const url = path.startsWith('http') ? path : config.api + path;
  try {
    const { response, text } = await exchange(method, url, headers, body);
    return { status: response.statusCode, body: parse(text), headers: response.headers, location: response.headers.location ?? '' };
  } catch (error) {
    if (error.name === 'TimeoutError') throw new Failure(`${method} ${url}: no answer within ${config.timeout / 1000} s`, NO_ANSWER);
    throw new Failure(`${method} ${url}: ${preview(error.message || error.code)}`, errorHints(error.code ?? error.message));
  }
}

function errorHints(code) {
  const right = 'API_URL: is it right as seen from this machine?';
  switch (causeOf(code)) {
    case 'name': return ['API_URL: this host name is unknown here.'];
    case 'certificate': return [certificateHint('the backend', code)];
    case 'plain': return ['API_URL begins with https, but this port speaks plain HTTP: http?', right];
    case 'silent': return ['The port does not answer: a firewall, or a wrong host in API_URL.', right];
    case 'cut': return ['The backend ended the connection: has it crashed, or does this port want https in API_URL?', right];
    default: return ['Does the backend run? Laravel: php artisan serve. The stand-in: python examples/comments/backend', right];
  }
}

const NO_ANSWER = [
  'The backend hangs on this request: look into its log, and at its database.',
  'With QUEUE_CONNECTION=sync, or ShouldBroadcastNow, a WebSocket server that cannot be reached holds the request: see \'timeout\' in laravel/config/broadcasting.php.',
  'TIMEOUT: does this machine need more?',
];

/** One request on a connection of its own: one kept alive may be closed by the backend as we send. */
function exchange(method, url, headers, body) {
  const { request: call } = url.startsWith('https:') ? https : http;
  const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
  const signal = AbortSignal.timeout(config.timeout);
  return new Promise((resolve, reject) => {
    const failed = (error) => reject(signal.aborted ? signal.reason : error);
    const outgoing = call(url, { method, headers: { ...headers, ...length }, agent: false, signal }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', failed);
      response.on('end', () => resolve({ response, text: Buffer.concat(chunks).toString('utf8') }));
    });
    outgoing.on('error', failed);
    outgoing.end(body);
  });
}

/** Whether an answer lets pages of `config.origin` read it. */
function isReadable(answer) {
  const origin = answer.headers['access-control-allow-origin'] ?? '';
  return origin === '*' || origin.toLowerCase() === config.origin.toLowerCase();
}

/** Whether a page may read the backend's answer to an authorization; its status does not matter. */
async function canReadAuthorization(person) {
  const headers = { Accept: 'application/json', Authorization: `Bearer ${person.token}`, Origin: config.origin };
  return isReadable(await send('POST', config.authPath, { ...headers, 'Content-Length': 0 }));
}

/** Send the preflight of a browser for an app of `config.origin`: its problem, null if the app may send the request. */
async function crossOriginProblem(method, path, wantedHeaders) {
  const answer = await send('OPTIONS', path, {
    Origin: config.origin,
    'Access-Control-Request-Method': method,
    'Access-Control-Request-Headers': wantedHeaders.join(','),
  });
  const listed = (name) => (answer.headers[name] ?? '').toLowerCase().split(',').map((entry) => entry.trim());
  // "*" stands for all headers but Authorization (Fetch, "CORS-preflight fetch").
  const any = (value) => (value === 'authorization' ? [] : ['*']);
  const allows = (name, value) => [value.toLowerCase(), ...any(value)].some((entry) => listed(name).includes(entry));
  const origins = listed('access-control-allow-origin');
  if (origins[0] === '') return { kind: 'path', status: answer.status };
  if (!isReadable(answer)) return { kind: 'origin', origin: origins[0] };
  if (!allows('access-control-allow-methods', method)) return { kind: 'method' };
  const refused = wantedHeaders.filter((header) => !allows('access-control-allow-headers', header));
  if (refused.length) return { kind: 'headers', refused };
  return answer.status < 300 ? null : { kind: 'path', status: answer.status };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function preview(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return (text ?? '').replace(/\s+/g, ' ').slice(0, 200);
}

module.exports = { canReadAuthorization, generalHints, crossOriginProblem, expectStatus, parse, postAuthorization, preview, request };
