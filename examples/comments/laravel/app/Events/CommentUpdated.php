<?php

namespace App\Events;

use App\Http\Resources\CommentResource;
use App\Models\Comment;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;
use Illuminate\Contracts\Events\ShouldDispatchAfterCommit;
use Illuminate\Foundation\Events\Dispatchable;

/**
 * A comment was changed. Tells everybody on its session, as "comment.updated".
 *
 * ShouldBroadcast puts a job on the queue: without a running worker nothing is sent.
 * ShouldDispatchAfterCommit (Laravel 10.30 and newer) holds the event back until the
 * transaction around it is committed, and drops it when that is rolled back.
 *
 * The event carries the finished data, not the model: the job then sends exactly what the
 * API answered, even if the comment is edited or deleted before a worker gets to it.
 */
class CommentUpdated implements ShouldBroadcast, ShouldDispatchAfterCommit
{
    use Dispatchable;
    use InteractsWithSockets; // toOthers() keeps the author's socket id here

    public readonly int|string $sessionId;

    /** @var array<string, mixed> */
    public readonly array $comment;

    public function __construct(Comment $comment)
    {
        $this->sessionId = $comment->session_id;
        // Through JSON, so that nested resources and dates are plain data in the queued job.
        $this->comment = json_decode(CommentResource::make($comment)->toJson(), true);
    }

    /**
     * On the wire: private-session.{sessionId}. Who may listen: routes/channels.php.
     */
    public function broadcastOn(): PrivateChannel
    {
        return new PrivateChannel('session.'.$this->sessionId);
    }

    /**
     * The name that clients listen to. In Echo with a leading dot: .listen('.comment.updated', …)
     */
    public function broadcastAs(): string
    {
        return 'comment.updated';
    }

    /**
     * @return array<string, mixed>
     */
    public function broadcastWith(): array
    {
        return $this->comment;
    }
}
