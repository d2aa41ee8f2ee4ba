import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.ToNumberPolicy;
import com.pusher.rest.Pusher;
import com.pusher.rest.data.Event;
import com.pusher.rest.data.PresenceUser;
import com.pusher.rest.data.Result;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** pusher-http-java, the official server library: its calls as verbs. */
public final class PusherHttpJava {
    private static final Gson DATA =
            new GsonBuilder().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE).create();

    private static Pusher pusher;

    private PusherHttpJava() {}

    public static void main(final String[] arguments) throws Exception {
        final Map<String, JsonLines.Verb> verbs = new LinkedHashMap<>();
        verbs.put("configure", PusherHttpJava::configure);
        verbs.put("trigger", PusherHttpJava::trigger);
        verbs.put("trigger_batch", PusherHttpJava::triggerBatch);
        verbs.put("get", a -> answer(pusher.get(text(a, "path"), texts(a.getAsJsonObject("parameters")))));
        verbs.put("post", a -> answer(pusher.post(text(a, "path"), JsonLines.GSON.toJson(a.get("body")))));
        verbs.put("authenticate", PusherHttpJava::authenticate);
        verbs.put("validate_webhook", a -> pusher
                .validateWebhookSignature(text(a, "key"), text(a, "signature"), text(a, "body"))
                .name());
        JsonLines.serve(verbs);
    }

    private static Object configure(final JsonObject a) {
        pusher = new Pusher(text(a, "app_id"), text(a, "key"), text(a, "secret"), text(a, "master_key"));
        pusher.setHost(text(a, "host"));
        pusher.setEncrypted(a.get("tls").getAsBoolean());
        return null;
    }

    private static Object trigger(final JsonObject a) {
        final List<String> channels = new ArrayList<>();
        a.getAsJsonArray("channels").forEach(channel -> channels.add(channel.getAsString()));
        final Object data = data(a);
        final String socketId = optional(a, "socket_id");
        if (channels.size() == 1) {
            return answer(pusher.trigger(channels.get(0), text(a, "event"), data, socketId));
        }
        return answer(pusher.trigger(channels, text(a, "event"), data, socketId));
    }

    private static Object triggerBatch(final JsonObject a) {
        final List<Event> events = new ArrayList<>();
        for (final JsonElement element : a.getAsJsonArray("batch")) {
            final JsonObject event = element.getAsJsonObject();
            events.add(new Event(text(event, "channel"), text(event, "name"), data(event), optional(event, "socket_id")));
        }
        return answer(pusher.trigger(events));
    }

    /** The JSON object that an app hands to its client. */
    private static Object authenticate(final JsonObject a) {
        final String socketId = text(a, "socket_id");
        final String channel = text(a, "channel");
        final String answer = a.has("user_id")
                ? pusher.authenticate(
                        socketId, channel, new PresenceUser(text(a, "user_id"), texts(a.getAsJsonObject("user_info"))))
                : pusher.authenticate(socketId, channel);
        return JsonParser.parseString(answer);
    }

    /** Maps, lists, texts and numbers, as an app has them. */
    private static Object data(final JsonObject object) {
        return DATA.fromJson(object.get("data"), Object.class);
    }

    private static Map<String, Object> answer(final Result result) {
        final Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("status", result.getStatus().name());
        answer.put("http_status", result.getHttpStatus());
        answer.put("message", result.getMessage());
        return answer;
    }

    private static String text(final JsonObject object, final String name) {
        return object.get(name).getAsString();
    }

    private static String optional(final JsonObject object, final String name) {
        return object.has(name) && !object.get(name).isJsonNull() ? text(object, name) : null;
    }

    private static Map<String, String> texts(final JsonObject object) {
        final Map<String, String> texts = new LinkedHashMap<>();
        for (final Map.Entry<String, JsonElement> entry : object.entrySet()) {
            texts.put(entry.getKey(), entry.getValue().getAsString());
        }
        return texts;
    }
}
