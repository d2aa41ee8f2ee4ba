import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** 10 MB to args[0] with HttpClient; prints status and text. */
class Upload {
    public static void main(String[] args) throws Exception {
        byte[] body = new byte[10485760];
        var request = HttpRequest.newBuilder(URI.create(args[0]))
            .version(HttpClient.Version.HTTP_1_1)
            .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.print(answer.statusCode() + " " + answer.body());
    }
}
