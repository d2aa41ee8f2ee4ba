<?php

namespace App\Events;

use App\Models\Comment;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;
use Illuminate\Contracts\Events\ShouldDispatchAfterCommit;
use Illuminate\Foundation\Events\Dispatchable;

/**
 * A comment was deleted. Tells everybody on its session, as "comment.deleted".
 *
 * No SerializesModels here, and no model in a property: the worker would look the comment up
 * again, find nothing, and fail with ModelNotFoundException. The ids are all that is needed.
 */
class CommentDeleted implements ShouldBroadcast, ShouldDispatchAfterCommit
{
    use Dispatchable;
    use InteractsWithSockets; // toOthers() keeps the author's socket id here

    public readonly int|string $commentId;

    public readonly int|string $sessionId;

    public function __construct(Comment $comment)
    {
        $this->commentId = $comment->getKey();
        $this->sessionId = $comment->session_id;
    }

    /**
     * On the wire: private-session.{sessionId}. Who may listen: routes/channels.php.
     */
    public function broadcastOn(): PrivateChannel
    {
        return new PrivateChannel('session.'.$this->sessionId);
    }

    /**
     * The name that clients listen to. In Echo with a leading dot: .listen('.comment.deleted', …)
     */
    public function broadcastAs(): string
    {
        return 'comment.deleted';
    }

    /**
     * @return array<string, mixed>
     */
    public function broadcastWith(): array
    {
        return [
            'id' => $this->commentId,
            'session_id' => $this->sessionId,
        ];
    }
}
