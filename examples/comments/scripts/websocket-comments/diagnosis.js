// Why an event did not come: first by what did come, then by the server's counters, then by one
// more event while many wrong channels are watched, and last by the most frequent causes.

'use strict';

const { preview } = require('./backend');
const { channelHint } = require('./channels');
const { carries, unpack } = require('./event_data');
const { growth } = require('./server');
const { config } = require('./settings');

const WORKER = 'php artisan queue:work --sleep=0.1 --tries=5 --backoff=1';
const CHECK_NAMES = `Is its channel new PrivateChannel('${config.channel}')? ("private-" is added by itself.) Does broadcastAs() return the name?`;
const REFUSED = {
  signature: 'PUSHER_APP_SECRET of the worker differs from the app\'s in the server: correct .env',
  unknown_key: 'no app has the worker\'s PUSHER_APP_KEY: correct .env',
  wrong_app: 'the worker\'s PUSHER_APP_ID does not belong to its PUSHER_APP_KEY: correct .env',
  key_is_secret: 'PUSHER_APP_KEY and PUSHER_APP_SECRET of the worker are swapped: correct .env',
  clock: 'the clock of the worker\'s machine is wrong: set it (NTP)',
  disabled: 'the app is disabled in the server\'s configuration',
  rate_publish: 'the app has reached limits.backend_events_per_second',
  too_large: 'the event is larger than limits.event_data_bytes: send less, or raise it',
  channel: 'broadcastOn() gives a name that no channel may have',
  digest: 'something between the worker and the server changes the body',
  tls: 'PUSHER_SCHEME=https of the worker, but the port speaks plain HTTP',
  plain_http: 'PUSHER_SCHEME=http of the worker, but the port speaks TLS',
  certificate_refused: 'PHP does not accept the server\'s certificate',
  path: '\'path\' or PUSHER_HOST of the worker lead to a path that the server has not',
  double_slash: 'PUSHER_HOST or \'path\' of the worker end in a slash too many, or PUSHER_APP_ID is empty',
};
/** Reasons of requests as strangers send them all day: named only if nothing else was refused. */
const STRANGERS = new Set(['path', 'method', 'head', 'host', 'no_http', 'too_slow', 'no_room', 'no_upgrade', 'http2', 'proxy_protocol', 'old_tls', 'tls', 'plain_http', 'certificate_refused']);

const classOf = (event) => event.split('.').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
const letters = (text) => text.toLowerCase().replace(/[^a-z]/g, '');
const looksLike = (event, name) => letters(event).endsWith(letters(name));

/** The event that was waited for, on its channel, of this comment. */
function isRight(message, name, id) {
  return message.event === name && message.channel === config.privateChannel && carries(message, id);
}

/** Hints from what arrived instead of `name`; empty when nothing of this comment did. */
function evidence(seen, name, id, ids) {
  const isOurs = (message) => carries(message, id) || message.data?.ciphertext !== undefined;
  const ours = seen.filter((message) => isOurs(message) && looksLike(message.event, name));
  const hints = [];
  const astray = ours.find(({ channel }) => channel !== config.privateChannel);
  if (astray && !ours.some((message) => message.channel === config.privateChannel)) {
    hints.push(channelHint(name, classOf(name), astray.channel, { ...ids, "the comment's": id }));
  }
  const misnamed = ours.find(({ event }) => event !== name) ?? seen.find((message) => carries(message, id) && !/comment.?(created|updated|deleted)$/i.test(message.event));
  if (misnamed && !ours.some(({ event }) => event === name)) hints.push(nameHint(misnamed.event, name));
  if (hints.length) return hints;
  const stray = seen.find((message) => message.event === name && message.channel === config.privateChannel && unpack(message.data).comment?.id === undefined);
  return stray ? [`A ${name} arrived without a comment's id: ${preview(stray.data)}. See broadcastWith() in laravel/app/Events.`] : [];
}

/** Hints when the request was followed by the event of another one: both have one name, or one class. */
function mistakenName(seen, name, id) {
  const other = seen.find((message) => carries(message, id) && message.event !== name && /^comment\.(created|updated|deleted)$/.test(message.event));
  if (!other) return [];
  return [`${other.event} came instead: broadcastAs() of ${classOf(name)} must return '${name}', and the controller must broadcast new ${classOf(name)} here, not ${classOf(other.event)}.`];
}

function nameHint(event, name) {
  const dot = event === `.${name}` ? ' The leading dot belongs to Echo\'s listen() only.' : '';
  return `An event "${event}" did arrive: the class needs public function broadcastAs() { return '${name}'; }.${dot}`;
}

/** Hints from publications that the server refused between two readings; empty when there are none. */
function refusalHints(before, after) {
  if (!before || !after) return [];
  const { published, reasons } = growth(before, after);
  const meant = reasons.filter((reason) => !STRANGERS.has(reason));
  const named = meant.length || published > 0 ? meant : reasons;
  if (!named.length) return [];
  return [
    ...named.map((reason) => `The server refused ${STRANGERS.has(reason) ? 'a request' : 'the event'} (${reason}): ${REFUSED[reason] ?? 'its log has a line "request refused" with the cause'}.`),
    'Then: php artisan config:clear and php artisan queue:restart. A worker keeps the settings of its start.',
  ];
}

/** Hints from what reached the server between two readings, when it refused nothing; null without them. */
function counterHints(before, after, name) {
  if (!before || !after) return null;
  const others = config.appId ? 'others who publish for this app' : 'others who publish (PUSHER_APP_ID lets this script count one app alone)';
  if (growth(before, after).published > 0) {
    return [`The server accepted an event meanwhile, but not for ${config.privateChannel} under this name: it went to another channel, or came from ${others}. ${CHECK_NAMES}`];
  }
  return [
    ...workerHints('Nothing has reached the server at METRICS_URL.'),
    'Can the worker reach the server? PUSHER_HOST, PUSHER_PORT, PUSHER_SCHEME, as seen from PHP. See php artisan queue:failed and storage/logs/laravel.log.',
    connectionHint(),
    dispatchHint(name),
  ];
}

const workerHints = (seen) => [
  `${seen} Is a queue worker running? ${WORKER} (ShouldBroadcast events are queued; waiting ones are rows of the table jobs).`.trim(),
  'Is the worker stale? It keeps the code and the settings of its start, such as an old PUSHER_APP_SECRET: php artisan queue:restart after each change.',
];
const connectionHint = () => 'BROADCAST_CONNECTION=pusher (before Laravel 11: BROADCAST_DRIVER) for the worker, too, then php artisan config:clear and queue:restart. log and null send nothing and report no error.';
const dispatchHint = (name) => `Is the event dispatched, after the comment is saved? The controller needs: broadcast(new ${classOf(name)}($comment))->toOthers();`;

/** The most frequent causes, when there is nothing to go by. */
function frequentCauses(name) {
  return [
    ...workerHints(''),
    'Does the job fail? See php artisan queue:failed, storage/logs/laravel.log and the server\'s log ("request refused"). Refused: PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET, or a clock that is ten minutes wrong. No connection: PUSHER_HOST, PUSHER_PORT, PUSHER_SCHEME, as seen from PHP.',
    connectionHint(),
    dispatchHint(name),
    CHECK_NAMES,
    ...(config.metrics && config.secret ? [] : ['Give METRICS_URL, and this script sees what reached the server; PUSHER_APP_SECRET, and it looks into private channels, too.']),
  ];
}

/** Hints when other events of the comment did arrive: worker and connection are in order. */
function onlyThisEvent(name, other) {
  return [
    `${other} does arrive, so the worker and its connection are in order. ${dispatchHint(name)}`,
    ...(name === 'comment.deleted' ? ['An event that carries the deleted model fails in the worker (ModelNotFoundException in php artisan queue:failed): give it plain data, as laravel/app/Events/CommentDeleted.php does.'] : []),
    `Or its channel differs. ${CHECK_NAMES}`,
    'A worker keeps the code of its start: php artisan queue:restart after each change. See php artisan queue:failed.',
  ];
}

const lostHints = ({ letter, lost }) => [
  `${letter}'s connection was lost (${lost}).`,
  'The connection ended during the test: did the server stop or restart, or a proxy cut it? See the server\'s log.',
  'Events of that time are not kept: an app fetches the list from the API after it has connected again.',
];

const lateHints = [
  `The worker looks into an empty queue only every 3 seconds by default: ${WORKER}`,
  'With QUEUE_CONNECTION=redis: \'block_for\' => 5 in config/queue.php wakes the worker at once.',
  'Is the worker busy with other jobs? Give broadcasts a queue of their own: public string $queue = \'broadcasts\'; and queue:work --queue=broadcasts,default.',
];

module.exports = { classOf, counterHints, evidence, frequentCauses, isRight, lateHints, looksLike, lostHints, mistakenName, onlyThisEvent, refusalHints };
