#!/usr/bin/env node
/**
 * The file that `bin` leads to.
 */
import { main } from "./internal/program.ts"

main(process.argv.slice(2))
