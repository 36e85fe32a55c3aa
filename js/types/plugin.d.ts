// Types of the local-development plugin. Its contract is miniflare's own and not public, so it is opaque here.

export declare const plugins: { littoral: object };
