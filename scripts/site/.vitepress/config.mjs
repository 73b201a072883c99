import * as fs from "node:fs"
import * as path from "node:path"
import { defineConfig } from "vitepress"
import { noticesOf } from "../../notices.mjs"
import { siteBase } from "../base.mjs"
import { slugify } from "../slugify.mjs"

const { version } = JSON.parse(fs.readFileSync(new URL("../../../package.json", import.meta.url), "utf8"))
const work = process.env.SITE_WORK
const base = siteBase(process.env.SITE_BASE)
const sidebar = JSON.parse(fs.readFileSync(path.join(work, "sidebar.json"), "utf8"))

/** Its package has no text of its licence, which its style sheet names: MIT, as that of this package, with another holder. */
const own = {
  "@docsearch/css": fs.readFileSync(new URL("../../../LICENSE", import.meta.url), "utf8")
    .replace(/^Copyright .*$/m, "Copyright (c) Algolia, Inc. and contributors")
}

/**
 * The shortest answer is a task or an error; a page that explains is a better one than the reference, and a whole page than a
 * part of it. It goes to the browser as text, and stands on nothing else.
 */
const boostDocument = (id, _, { titles }) => {
  const section = /\/(how-to|errors|guide|migration|api|examples|project)\//.exec(id)?.[1]
  const weight = { "how-to": 1.5, errors: 1.5, migration: 0.5, api: 0.25, examples: 0.5, project: 0.25 }[section] ?? 1
  return titles.length === 0 ? weight * 1.5 : weight
}

/** Short words are other words when a letter differs. */
const fuzzy = (term) => term.length > 4 ? 0.2 : false

export default defineConfig({
  title: "effect-nats",
  description: "NATS for Effect: connection, authentication and service lifecycle as layers, with every failure typed",
  lang: "en",
  base,
  srcDir: path.join(work, "pages"),
  outDir: path.join(work, "out"),
  cacheDir: path.join(work, "cache"),
  cleanUrls: true,
  lastUpdated: false,
  vite: {
    plugins: [{
      name: "notices",
      /** The licences of what is in the scripts that a reader gets. */
      generateBundle(_, bundle) {
        const modules = Object.values(bundle).flatMap((chunk) => Object.keys(chunk.modules ?? {}))
        const files = [...new Set(modules.map((id) => id.replace(/^\0|\?.*$/g, "")))].filter((id) => fs.existsSync(id))
        const source = noticesOf(files, "These pages have inside, besides what is of effect-nats itself:", own)
        this.emitFile({ type: "asset", fileName: "notices.txt", source })
      }
    }]
  },
  markdown: {
    anchor: { slugify },
    /** Two braces are text as they stand, and nothing that Vue has to work out. */
    config: (md) => {
      const escaped = (text) => md.utils.escapeHtml(text).replaceAll("{{", "&#123;&#123;")
      md.renderer.rules.text = (tokens, index) => escaped(tokens[index].content)
      md.renderer.rules.code_inline = (tokens, index) => `<code>${escaped(tokens[index].content)}</code>`
    },
    theme: { light: "github-light-high-contrast", dark: "github-dark-default" },
    languageAlias: { conf: "nginx", "nats-server": "nginx" }
  },
  themeConfig: {
    nav: [
      { text: "Guide", link: "/guide/getting-started", activeMatch: "^/guide/" },
      { text: "How to", link: "/how-to/", activeMatch: "^/how-to/" },
      { text: "Errors", link: "/errors/", activeMatch: "^/errors/" },
      { text: "API", link: "/api/", activeMatch: "^/api/" },
      { text: "Examples", link: "/examples/", activeMatch: "^/examples/" },
      { text: "Coming from …", link: "/migration/coming-from-nats-js", activeMatch: "^/migration/" },
      { text: "Project", link: "/project/overview", activeMatch: "^/project/" },
      { text: version, link: "/project/changelog" }
    ],
    sidebar,
    footer: { message: `MIT. <a href="${base}notices.txt">What these pages have from others</a>.` },
    outline: { level: [2, 3] },
    search: {
      provider: "local",
      options: {
        /** The source of an example would be found for every name that it uses. */
        _render: (source, env, md) =>
          md.render(
            env.relativePath.startsWith("examples/") ? source.replace(/\n## Source\n[\s\S]*/, "") : source,
            env
          ),
        miniSearch: { searchOptions: { boostDocument, fuzzy } }
      }
    }
  }
})
