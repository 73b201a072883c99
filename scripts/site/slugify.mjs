/** The name by which a heading is linked to: as forges make it, so that a link holds there and here. */
export const slugify = (text) => text.trim().toLowerCase().replace(/[^\p{L}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-")
