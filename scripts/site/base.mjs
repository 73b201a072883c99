/** Where the site is below its address, as `SITE_BASE` has it: `/`, or `/name/`, which may be given without its slashes. */
export const siteBase = (given = "/") => `/${given}/`.replace(/\/+/g, "/")
