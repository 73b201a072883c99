/** The version in package.json, as the CONNECT line gives it to the server. */
export const version = "0.1.0"
