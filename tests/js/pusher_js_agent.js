// Drives stock pusher-js; the same file runs in Node and in a browser page.
// `happened` is told everything that an app could bind to.

export function createAgent(Pusher, happened) {
  const clients = {};

  // The member list of a presence channel is an object with methods; its content is what matters.
  const plain = (data) =>
    data && typeof data.each === 'function'
      ? { members: data.members, count: data.count, me: data.me }
      : data instanceof Error
        ? { message: data.message }
        : data;

  const report = (who, channel) => (event, data) =>
    happened({ who, channel, event, data: plain(data) ?? null });

  const verbs = {
    connect({ who, key, options }) {
      const pusher = new Pusher(key, options);
      clients[who] = pusher;
      pusher.connection.bind('state_change', (change) => report(who, null)('state_change', change));
      pusher.connection.bind('error', (error) => report(who, null)('error', error.error ?? error));
      pusher.user.bind_global(report(who, '#user'));
      pusher.user.watchlist.bind_global(report(who, '#watchlist'));
    },
    subscribe({ who, channel, bind = [] }) {
      const subscription = clients[who].subscribe(channel);
      subscription.bind_global(report(who, channel));
      // Global bindings do not get the metadata; these do.
      for (const event of bind) {
        subscription.bind(event, (data, metadata) =>
          happened({ who, channel, event, data, metadata }),
        );
      }
    },
    unsubscribe: ({ who, channel }) => clients[who].unsubscribe(channel),
    trigger: ({ who, channel, event, data }) => clients[who].channel(channel).trigger(event, data),
    async signin({ who }) {
      clients[who].signin();
      await clients[who].user.signinDonePromise;
      return clients[who].user.user_data;
    },
    state: ({ who }) => ({
      state: clients[who].connection.state,
      socket_id: clients[who].connection.socket_id ?? null,
    }),
    members({ who, channel }) {
      const { members, count, me } = clients[who].channel(channel).members;
      return { members, count, me };
    },
    disconnect: ({ who }) => clients[who].disconnect(),
  };

  return (verb, args) => verbs[verb](args);
}
