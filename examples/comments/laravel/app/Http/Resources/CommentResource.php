<?php

namespace App\Http\Resources;

use Illuminate\Http\Request;
use Illuminate\Http\Resources\Json\JsonResource;

/**
 * What a comment looks like to the outside: in the API's answers and, word for word,
 * in the events comment.created and comment.updated.
 *
 * @mixin \App\Models\Comment
 */
class CommentResource extends JsonResource
{
    /**
     * Without a type: before Laravel 10 the framework's own method has none, and PHP allows no narrower one here.
     *
     * @param  Request  $request
     * @return array<string, mixed>
     */
    public function toArray($request): array
    {
        return [
            'id' => $this->id,
            'session_id' => $this->session_id,
            'content' => $this->content,
            'user' => [
                'id' => $this->user->id,
                'name' => $this->user->name,
            ],
            'created_at' => $this->created_at?->toJSON(),
            'updated_at' => $this->updated_at?->toJSON(),
        ];
    }
}
