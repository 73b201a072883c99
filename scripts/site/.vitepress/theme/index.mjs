import DefaultTheme from "vitepress/theme-without-fonts"
import ErrorFilter from "./ErrorFilter.vue"
import "./style.css"

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => {
    app.component("ErrorFilter", ErrorFilter)
  }
}
