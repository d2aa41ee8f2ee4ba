import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.pusher.client.Pusher;
import com.pusher.client.PusherOptions;
import com.pusher.client.channel.Channel;
import com.pusher.client.channel.PresenceChannelEventListener;
import com.pusher.client.channel.PrivateEncryptedChannelEventListener;
import com.pusher.client.channel.PusherEvent;
import com.pusher.client.channel.User;
import com.pusher.client.connection.ConnectionEventListener;
import com.pusher.client.connection.ConnectionState;
import com.pusher.client.connection.ConnectionStateChange;
import com.pusher.client.util.HttpChannelAuthorizer;
import com.pusher.client.util.HttpUserAuthenticator;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Drives stock pusher-java-client, several clients in one JVM.
 *
 * <p>`happened` is sent everything that an app could listen to: events under their name, calls of a listener under the method's
 * name. `uncaught` is an exception that leaves a thread of the library: on Android it would end the app.
 */
public final class PusherJavaClient {
    private static final Map<String, Client> CLIENTS = new ConcurrentHashMap<>();

    private PusherJavaClient() {}

    public static void main(final String[] arguments) throws Exception {
        final Map<String, JsonLines.Verb> verbs = new LinkedHashMap<>();
        verbs.put("connect", PusherJavaClient::connect);
        verbs.put("subscribe", a -> client(a).subscribe(text(a, "channel"), a.has("bind") ? a.getAsJsonArray("bind") : null));
        verbs.put("unsubscribe", a -> {
            client(a).pusher.unsubscribe(text(a, "channel"));
            return null;
        });
        verbs.put("trigger", a -> client(a).trigger(text(a, "channel"), text(a, "event"), text(a, "data")));
        verbs.put("signin", a -> {
            client(a).pusher.signin();
            return null;
        });
        verbs.put("state", a -> client(a).state());
        verbs.put("users", a -> users(client(a).pusher.getPresenceChannel(text(a, "channel")).getUsers()));
        verbs.put("me", a -> user(client(a).pusher.getPresenceChannel(text(a, "channel")).getMe()));
        verbs.put("disconnect", a -> {
            client(a).pusher.disconnect();
            return null;
        });
        verbs.put("connect_again", a -> {
            client(a).pusher.connect();
            return null;
        });
        verbs.put("defaults", a -> defaults());
        verbs.put("forget", a -> forget());
        Thread.setDefaultUncaughtExceptionHandler((thread, exception) -> {
            final Map<String, Object> happening = new LinkedHashMap<>();
            happening.put("who", null);
            happening.put("event", "uncaught");
            happening.put("data", thread.getName() + ": " + exception);
            JsonLines.happened(happening);
        });
        JsonLines.serve(verbs);
    }

    private static Object connect(final JsonObject arguments) {
        final String name = text(arguments, "who");
        final Client client = new Client(name, text(arguments, "key"), arguments.getAsJsonObject("options"));
        CLIENTS.put(name, client);
        client.pusher.connect(client, ConnectionState.ALL);
        return null;
    }

    /** Every client is disconnected, and nothing of it happens any more. */
    private static Object forget() {
        for (final Client client : CLIENTS.values()) {
            client.forget();
        }
        CLIENTS.clear();
        return null;
    }

    /** The options of an app that sets none. */
    private static Object defaults() {
        final PusherOptions options = new PusherOptions();
        return Map.of(
                "version", PusherOptions.LIB_VERSION,
                "maxReconnectionAttempts", options.getMaxReconnectionAttempts(),
                "maxReconnectGapInSeconds", options.getMaxReconnectGapInSeconds(),
                "activityTimeout", options.getActivityTimeout(),
                "pongTimeout", options.getPongTimeout());
    }

    private static Client client(final JsonObject arguments) {
        return CLIENTS.get(text(arguments, "who"));
    }

    private static String text(final JsonObject object, final String name) {
        return object.get(name).getAsString();
    }

    private static Map<String, Object> user(final User user) {
        final Map<String, Object> plain = new LinkedHashMap<>();
        plain.put("id", user.getId());
        plain.put("info", user.getInfo() == null ? null : JsonLines.GSON.fromJson(user.getInfo(), JsonElement.class));
        return plain;
    }

    private static List<Object> users(final Iterable<User> users) {
        final List<Object> plain = new ArrayList<>();
        users.forEach(user -> plain.add(user(user)));
        return plain;
    }

    /** One client with its listeners. */
    private static final class Client implements ConnectionEventListener {
        final Pusher pusher;
        private final String name;
        private boolean isForgotten;

        Client(final String name, final String key, final JsonObject options) {
            this.name = name;
            pusher = new Pusher(key, pusherOptions(options));
            pusher.user().bindGlobal(event -> happened("#user", event.getEventName(), event.getData(), event.getUserId()));
        }

        private static PusherOptions pusherOptions(final JsonObject given) {
            final Map<String, String> headers = new LinkedHashMap<>();
            for (final Map.Entry<String, JsonElement> header : given.getAsJsonObject("headers").entrySet()) {
                headers.put(header.getKey(), header.getValue().getAsString());
            }
            final HttpChannelAuthorizer authorizer = new HttpChannelAuthorizer(text(given, "channelAuthorization"));
            authorizer.setHeaders(headers);
            final HttpUserAuthenticator authenticator = new HttpUserAuthenticator(text(given, "userAuthentication"));
            authenticator.setHeaders(headers);
            final PusherOptions options = new PusherOptions()
                    .setHost(text(given, "host"))
                    .setWsPort(given.get("port").getAsInt())
                    .setWssPort(given.get("port").getAsInt())
                    .setUseTLS(given.get("useTLS").getAsBoolean())
                    .setChannelAuthorizer(authorizer)
                    .setUserAuthenticator(authenticator);
            if (given.has("maxReconnectionAttempts")) {
                options.setMaxReconnectionAttempts(given.get("maxReconnectionAttempts").getAsInt());
            }
            if (given.has("maxReconnectGapInSeconds")) {
                options.setMaxReconnectGapInSeconds(given.get("maxReconnectGapInSeconds").getAsInt());
            }
            if (given.has("activityTimeout")) {
                options.setActivityTimeout(given.get("activityTimeout").getAsLong());
            }
            if (given.has("pongTimeout")) {
                options.setPongTimeout(given.get("pongTimeout").getAsLong());
            }
            return options;
        }

        /** Bound to the events of `bind` alone, or to every event when it is null. */
        Object subscribe(final String channelName, final JsonArray bind) {
            final Listener listener = new Listener(this, channelName);
            final List<String> events = new ArrayList<>();
            if (bind != null) {
                bind.forEach(event -> events.add(event.getAsString()));
            }
            final String[] names = events.toArray(new String[0]);
            final Channel channel;
            if (channelName.startsWith("private-encrypted-")) {
                channel = pusher.subscribePrivateEncrypted(channelName, listener, names);
            } else if (channelName.startsWith("private-")) {
                channel = pusher.subscribePrivate(channelName, listener, names);
            } else if (channelName.startsWith("presence-")) {
                channel = pusher.subscribePresence(channelName, listener, names);
            } else {
                channel = pusher.subscribe(channelName, listener, names);
            }
            if (bind == null) {
                channel.bindGlobal(listener);
            }
            return null;
        }

        Object trigger(final String channel, final String event, final String data) {
            if (channel.startsWith("presence-")) {
                pusher.getPresenceChannel(channel).trigger(event, data);
            } else {
                pusher.getPrivateChannel(channel).trigger(event, data);
            }
            return null;
        }

        Map<String, Object> state() {
            final Map<String, Object> state = new LinkedHashMap<>();
            state.put("state", pusher.getConnection().getState().name().toLowerCase(Locale.ROOT));
            state.put("socket_id", pusher.getConnection().getSocketId());
            final String userId = pusher.user().userId();
            final Channel ofUser = userId == null ? null : pusher.getChannel("#server-to-user-" + userId);
            state.put("user_id", userId);
            state.put("user_is_subscribed", ofUser != null && ofUser.isSubscribed());
            return state;
        }

        synchronized void forget() {
            isForgotten = true;
            pusher.disconnect();
        }

        synchronized void happened(final String channel, final String event, final Object data, final String userId) {
            if (isForgotten) {
                return;
            }
            final Map<String, Object> happening = new LinkedHashMap<>();
            happening.put("who", name);
            happening.put("channel", channel);
            happening.put("event", event);
            happening.put("data", data);
            happening.put("user_id", userId);
            JsonLines.happened(happening);
        }

        @Override
        public void onConnectionStateChange(final ConnectionStateChange change) {
            happened(null, "state_change", Map.of(
                    "previous", change.getPreviousState().name().toLowerCase(Locale.ROOT),
                    "current", change.getCurrentState().name().toLowerCase(Locale.ROOT)), null);
        }

        @Override
        public void onError(final String message, final String code, final Exception exception) {
            final Map<String, Object> error = new LinkedHashMap<>();
            error.put("message", message);
            error.put("code", code);
            error.put("exception", exception == null ? null : exception.toString());
            happened(null, "onError", error, null);
        }
    }

    /** Hears one channel of one client, of whichever kind. */
    private static final class Listener implements PresenceChannelEventListener, PrivateEncryptedChannelEventListener {
        private final Client client;
        private final String channel;

        Listener(final Client client, final String channel) {
            this.client = client;
            this.channel = channel;
        }

        @Override
        public void onSubscriptionSucceeded(final String channelName) {
            client.happened(channelName, "onSubscriptionSucceeded", client.pusher.getConnection().getSocketId(), null);
        }

        @Override
        public void onEvent(final PusherEvent event) {
            client.happened(event.getChannelName(), event.getEventName(), event.getData(), event.getUserId());
        }

        @Override
        public void onError(final String message, final Exception exception) {
            client.happened(channel, "onError", message, null);
        }

        @Override
        public void onAuthenticationFailure(final String message, final Exception exception) {
            client.happened(channel, "onAuthenticationFailure", message, null);
        }

        @Override
        public void onDecryptionFailure(final String event, final String reason) {
            client.happened(channel, "onDecryptionFailure", event + ": " + reason, null);
        }

        @Override
        public void onUsersInformationReceived(final String channelName, final Set<User> users) {
            client.happened(channelName, "onUsersInformationReceived", users(users), null);
        }

        @Override
        public void userSubscribed(final String channelName, final User user) {
            client.happened(channelName, "userSubscribed", user(user), null);
        }

        @Override
        public void userUnsubscribed(final String channelName, final User user) {
            client.happened(channelName, "userUnsubscribed", user(user), null);
        }
    }
}
