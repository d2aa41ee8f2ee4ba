// Help of the validation script, and its settings from the environment.

'use strict';

const HELP = `Usage: node scripts/test-websocket-comments.js

Logs in two users, connects both, creates, edits and deletes a comment as the one, and
checks that the other receives it live, on the right channel and with the data of the
API, and that the author does not. A writes, but B if A's id is the session's, too.

Set by environment variables (in brackets: the default, which is the stand-in backend):

  API_URL            base URL of the backend                       [http://127.0.0.1:8000]
  SESSION_ID         session in which both users take part         [1]

  Who they are: ready bearer tokens, or credentials for the login path
  TOKEN_A, TOKEN_B   bearer tokens; then nobody logs in
  EMAIL_A, EMAIL_B   [amina@example.com, bruno@example.com]
  PASSWORD_A, PASSWORD_B                                           [password]
  LOGIN_PATH         gets {email, password, device_name}, answers
                     {token} or {access_token}                     [/api/login]
  USER_PATH          who a token belongs to                        [/api/user]

  COMMENTS_PATH      POST creates a comment here                   [/api/sessions/{session}/comments]
  COMMENT_PATH       PUT edits it here, DELETE deletes it          [/api/comments/{comment}]
  CONTENT_FIELD      the field that holds the text                 [content]
  COMMENT_BODY       more fields for creating, as JSON             [{}]
  EVENT_FIELD        the field of an event's data in which the app
                     looks for the comment     [none: the data is it]
  ONLY_CREATED       1: phase 1 only, leave out edit and delete; the
                     test comment then stays in the session        [0]

  AUTH_PATH          channel authorization                         [/broadcasting/auth]
  CHANNEL            private channel, without "private-"           [session.{session}]
  PRESENCE_CHANNEL   presence channel, without "presence-"         [online-users]
  ORIGIN             origin of an app that runs in a browser: its
                     CORS requests are tried, too                  [none]

  PUSHER_APP_KEY     as in Laravel's .env                          [app-key]
  PUSHER_HOST        WebSocket server, as seen from here           [127.0.0.1]
  PUSHER_PORT                                                      [6001]
  PUSHER_SCHEME      http or https                                 [http]
  PUSHER_PATH        path in front of /app, such as /ws            [none]
  PUSHER_APP_ID      with METRICS_URL: count this app alone        [all apps]
  PUSHER_APP_SECRET  lets this script look into channels that the
                     backend refuses, when an event is missing     [none]
  METRICS_URL        /metrics of pusher-server, on its operations
                     port: then a missing event is explained by
                     what reached the server                       [none]
  METRICS_TOKEN      operations.token, if it has one               [none]

  TIMEOUT            seconds that each step may take               [10]
  EVENT_TIMEOUT      seconds to wait for an event                  [TIMEOUT]
  SLOW               seconds after which an event counts as late   [1]
  QUIET              seconds to watch for events that must not come [1]

Needs Node 18 or newer and pusher-js: "npm install" in the folder above this one.`;

const setting = (name, fallback) => process.env[name] || fallback;
const session = setting('SESSION_ID', '1');
const trimmed = (url) => url.replace(/\/+$/, '');
/** What is wrong with the settings, a line each. */
const problems = [];

function wrong(name, value, rule) {
  problems.push(`${name} is ${JSON.stringify(value)}: ${rule}`);
}

/** A setting that has to match; the fallback if it does not. */
function matching(name, fallback, pattern, rule) {
  const value = setting(name, fallback);
  if (pattern.test(value)) return value;
  wrong(name, value, rule);
  return fallback;
}

const url = (name, fallback) => trimmed(matching(name, fallback, /^(https?:\/\/[^\s/]+.*)?$/, 'it must begin with http:// or https://'));
const seconds = (name, fallback) => 1000 * Number(matching(name, fallback, /^(\d+\.?\d*|\.\d+)$/, 'it must be a number of seconds'));
const timeout = seconds('TIMEOUT', '10') || 10_000;
/** A path of the backend, or a whole address. */
const path = (name, fallback) => setting(name, fallback).replace('{session}', session).replace(/^(?!\/|https?:\/\/)/, '/');
const bare = (name, fallback) => matching(name, fallback, /^(?!private-|presence-)/, 'write it as in PHP: "private-" and "presence-" are added');

function jsonObject(name) {
  const text = setting(name, '{}');
  try {
    const value = JSON.parse(text);
    if (Object.prototype.toString.call(value) === '[object Object]') return value;
  } catch {
    // named below
  }
  wrong(name, text, 'it must be a JSON object, such as {"type":"note"}');
  return {};
}

const config = {
  session,
  api: url('API_URL', 'http://127.0.0.1:8000'),
  loginPath: path('LOGIN_PATH', '/api/login'),
  userPath: path('USER_PATH', '/api/user'),
  commentsPath: path('COMMENTS_PATH', '/api/sessions/{session}/comments'),
  commentPath: path('COMMENT_PATH', '/api/comments/{comment}'),
  contentField: setting('CONTENT_FIELD', 'content'),
  eventField: setting('EVENT_FIELD', ''),
  commentBody: jsonObject('COMMENT_BODY'),
  onlyCreated: matching('ONLY_CREATED', '0', /^[01]$/, 'it must be 0 or 1') === '1',
  authPath: path('AUTH_PATH', '/broadcasting/auth'),
  channelTemplate: bare('CHANNEL', 'session.{session}'),
  presence: bare('PRESENCE_CHANNEL', 'online-users'),
  origin: trimmed(matching('ORIGIN', '', /^([a-z][\w+.-]*:\/\/[^\s/]+\/?)?$/i, 'it must be as a browser sends it: https://app.example.com, without a path')),
  key: setting('PUSHER_APP_KEY', 'app-key'),
  appId: setting('PUSHER_APP_ID', ''),
  secret: setting('PUSHER_APP_SECRET', ''),
  host: matching('PUSHER_HOST', '127.0.0.1', /^([^\s/:]+|\[[\da-f:]+\])$/i, 'a name or address alone: the others belong into PUSHER_SCHEME, PUSHER_PORT and PUSHER_PATH'),
  port: Number(matching('PUSHER_PORT', '6001', /^\d{1,5}$/, 'it must be a number')),
  scheme: matching('PUSHER_SCHEME', 'http', /^https?$/, 'it must be http or https'),
  path: trimmed(setting('PUSHER_PATH', '')).replace(/^(?=[^/])/, '/'),
  metrics: url('METRICS_URL', ''),
  metricsToken: setting('METRICS_TOKEN', ''),
  timeout,
  eventTimeout: seconds('EVENT_TIMEOUT', String(timeout / 1000)) || timeout,
  slow: seconds('SLOW', '1'),
  quiet: seconds('QUIET', '1'),
};
config.channel = config.channelTemplate.replace('{session}', session);
config.privateChannel = `private-${config.channel}`;
config.presenceChannel = `presence-${config.presence}`;
config.server = `${config.scheme}://${config.host}:${config.port}`;

const people = [
  { letter: 'A', email: setting('EMAIL_A', 'amina@example.com'), password: setting('PASSWORD_A', 'password'), token: process.env.TOKEN_A },
  { letter: 'B', email: setting('EMAIL_B', 'bruno@example.com'), password: setting('PASSWORD_B', 'password'), token: process.env.TOKEN_B },
];

/**
 * {author, listener}, once both ids are known. A's comments cannot be told from the session's channel
 * when A's id is the session's, too (`session.` and an author's id is a frequent mistake): then B writes.
 */
function roles() {
  const [a, b] = people;
  return a.id === session ? { author: b, listener: a } : { author: a, listener: b };
}

module.exports = { HELP, config, people, problems, roles };
