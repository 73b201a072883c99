/**
 * Where a request to create a consumer tells its filter: in the subject, so that rights can be given by it. A subject that is
 * published to has no wildcards; a filter with some stands in the body alone.
 */
export const filterPath = (filter: string | undefined): string =>
  filter === undefined || filter === "" || /(^|\.)[*>](\.|$)/.test(filter) ? "" : `.${filter}`
