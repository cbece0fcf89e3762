/** Where the next message of the server belongs. */
export const TAKE = 0
/** Its request is not here yet: the client's direction goes first. */
export const WAIT = 1
/** It answers a request that was lost. */
export const ALONE = 2
/** It answers the unit that a loss touched. */
export const TOUCHED = 3
