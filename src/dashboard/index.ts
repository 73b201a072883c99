/**
 * A page that shows live what runs on a connection.
 *
 * @since 0.2.0
 */

/** The page, as routes of a router. */
export * as NatsDashboard from "./NatsDashboard.ts"
