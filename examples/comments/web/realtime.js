// The live half, on stock laravel-echo and pusher-js: the lines a mobile app needs, nothing else.

/** Connect. `config`: { key, host, port, scheme }; `token` is the user's bearer token. */
export async function connect(config, token) {
  const { default: Echo } = await import('laravel-echo');
  return new Echo({
    broadcaster: 'pusher',
    key: config.key,
    cluster: '', // pusher-js insists on one; it means nothing with a host of our own
    wsHost: config.host || window.location.hostname,
    wsPort: config.port,
    wssPort: config.port,
    forceTLS: config.scheme === 'https',
    enabledTransports: ['ws', 'wss'],
    bearerToken: token, // goes with /broadcasting/auth
  });
}

/** Join a session. The leading dot in the names says: no App\Events namespace (broadcastAs). */
export function joinSession(echo, sessionId, on) {
  return echo
    .private(`session.${sessionId}`)
    .subscribed(on.joined) // again after each reconnection: the moment to catch up
    .listen('.comment.created', on.created)
    .listen('.comment.updated', on.updated)
    .listen('.comment.deleted', on.deleted)
    .listenForWhisper('typing', on.typing)
    .error(on.refused);
}

/** Keep a Map of who is online, by id. */
export function followPresence(echo, changed) {
  const people = new Map();
  const update = (change) => (value) => {
    change(value);
    changed([...people.values()]);
  };
  echo
    .join('online-users')
    .here(update((users) => {
      people.clear();
      users.forEach((user) => people.set(user.id, user));
    }))
    .joining(update((user) => people.set(user.id, user)))
    .leaving(update((user) => people.delete(user.id)));
}

/** Call `changed` with the state pusher-js is in: connecting, connected, unavailable … */
export function followConnection(echo, changed) {
  const connection = echo.connector.pusher.connection;
  connection.bind('state_change', ({ current }) => changed(current));
  changed(connection.state);
}
