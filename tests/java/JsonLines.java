import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Commands come in as JSON lines on stdin; answers and happenings go out as JSON lines on stdout.
 *
 * <p>{"id":1,"do":"subscribe",…} → {"id":1,"result":…} or {"id":1,"error":"…"}; {"happened":{…}}. As tests/js/json_lines.mjs.
 */
final class JsonLines {
    static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    /** Performs one command; its value is the result, null included. */
    interface Verb {
        Object perform(JsonObject arguments) throws Exception;
    }

    private JsonLines() {}

    static void happened(final Map<String, Object> happening) {
        write(Map.of("happened", happening));
    }

    /** Performs commands one after the other, until stdin ends. */
    static void serve(final Map<String, Verb> verbs) throws IOException {
        // Libraries that print may not break the lines.
        System.setOut(System.err);
        final BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            final JsonObject command = JsonParser.parseString(line).getAsJsonObject();
            final JsonObject answer = new JsonObject();
            answer.add("id", command.get("id"));
            try {
                final Object result = verbs.get(command.get("do").getAsString()).perform(command);
                answer.add("result", GSON.toJsonTree(result));
            } catch (final Exception exception) {
                final StringWriter trace = new StringWriter();
                exception.printStackTrace(new PrintWriter(trace));
                answer.addProperty("error", trace.toString());
            }
            write(answer);
        }
        System.exit(0);
    }

    private static synchronized void write(final Object message) {
        OUT.println(GSON.toJson(message));
    }
}
