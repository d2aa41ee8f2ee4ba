<?php

namespace App\Http\Controllers;

use App\Events\CommentCreated;
use App\Events\CommentDeleted;
use App\Events\CommentUpdated;
use App\Http\Resources\CommentResource;
use App\Models\Comment;
use App\Models\Session;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Http\Resources\Json\AnonymousResourceCollection;
use Illuminate\Http\Response;

/**
 * A whole controller, so that the place of the broadcast() lines is clear. In your own
 * controller only these three lines are new, each after the database has been written.
 *
 * toOthers() reads the request's X-Socket-ID header: the author's own socket is left out,
 * because the author already has the comment from the API's answer.
 */
class CommentController extends Controller
{
    public function index(Request $request, Session $session): AnonymousResourceCollection
    {
        $this->onlyParticipants($request, $session);

        return CommentResource::collection(
            $session->comments()->with('user')->oldest('id')->get()
        );
    }

    public function store(Request $request, Session $session): JsonResponse
    {
        $this->onlyParticipants($request, $session);

        $comment = new Comment($this->validated($request));
        $comment->user()->associate($request->user());
        $session->comments()->save($comment);

        broadcast(new CommentCreated($comment))->toOthers(); // new

        return CommentResource::make($comment)->response()->setStatusCode(201);
    }

    public function update(Request $request, Comment $comment): CommentResource
    {
        abort_unless($comment->user()->is($request->user()), 403);

        $comment->update($this->validated($request));

        broadcast(new CommentUpdated($comment))->toOthers(); // new

        return CommentResource::make($comment);
    }

    public function destroy(Request $request, Comment $comment): Response
    {
        abort_unless($comment->user()->is($request->user()), 403);

        $comment->delete();

        broadcast(new CommentDeleted($comment))->toOthers(); // new

        return response()->noContent();
    }

    private function onlyParticipants(Request $request, Session $session): void
    {
        abort_unless($session->participants()->whereKey($request->user()->getKey())->exists(), 403);
    }

    /**
     * @return array{content: string}
     */
    private function validated(Request $request): array
    {
        return $request->validate(['content' => ['required', 'string', 'max:2000']]);
    }
}
