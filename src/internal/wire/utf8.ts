/** Whether bytes are text. What is not inside the rooms for the wire and for identities takes it from here. */
export { isUtf8 } from "node:buffer"
