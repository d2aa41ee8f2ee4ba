// Help of the validation script, and its settings from the environment.

'use strict';

const HELP = `Usage: node scripts/test-websocket-comments.js

Logs in two users, connects both, creates, edits and deletes a comment as the first, and
checks that the second receives it live, on the right channel and with the data of the
API, and that the first does not.

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

const config = {
  session,
  api: trimmed(setting('API_URL', 'http://127.0.0.1:8000')),
  loginPath: setting('LOGIN_PATH', '/api/login'),
  userPath: setting('USER_PATH', '/api/user'),
  commentsPath: setting('COMMENTS_PATH', '/api/sessions/{session}/comments').replace('{session}', session),
  commentPath: setting('COMMENT_PATH', '/api/comments/{comment}').replace('{session}', session),
  contentField: setting('CONTENT_FIELD', 'content'),
  eventField: setting('EVENT_FIELD', ''),
  commentBody: JSON.parse(setting('COMMENT_BODY', '{}')),
  onlyCreated: setting('ONLY_CREATED', '0') === '1',
  authPath: setting('AUTH_PATH', '/broadcasting/auth'),
  channelTemplate: setting('CHANNEL', 'session.{session}'),
  presence: setting('PRESENCE_CHANNEL', 'online-users'),
  origin: trimmed(setting('ORIGIN', '')),
  key: setting('PUSHER_APP_KEY', 'app-key'),
  secret: setting('PUSHER_APP_SECRET', ''),
  host: setting('PUSHER_HOST', '127.0.0.1'),
  port: Number(setting('PUSHER_PORT', '6001')),
  scheme: setting('PUSHER_SCHEME', 'http'),
  path: trimmed(setting('PUSHER_PATH', '')).replace(/^(?=[^/])/, '/'),
  metrics: setting('METRICS_URL', ''),
  metricsToken: setting('METRICS_TOKEN', ''),
  timeout: Number(setting('TIMEOUT', '10')) * 1000,
  eventTimeout: Number(setting('EVENT_TIMEOUT', setting('TIMEOUT', '10'))) * 1000,
  slow: Number(setting('SLOW', '1')) * 1000,
  quiet: Number(setting('QUIET', '1')) * 1000,
};
config.channel = config.channelTemplate.replace('{session}', session);
config.privateChannel = `private-${config.channel}`;
config.presenceChannel = `presence-${config.presence}`;
config.server = `${config.scheme}://${config.host}:${config.port}`;

const people = [
  { letter: 'A', email: setting('EMAIL_A', 'amina@example.com'), password: setting('PASSWORD_A', 'password'), token: process.env.TOKEN_A },
  { letter: 'B', email: setting('EMAIL_B', 'bruno@example.com'), password: setting('PASSWORD_B', 'password'), token: process.env.TOKEN_B },
];

module.exports = { HELP, config, people };
