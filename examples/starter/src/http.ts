/**
 * What is watched over HTTP: `/livez` is 200 until only a new process helps, `/readyz` while the service can do its work,
 * and `/metrics` is for Prometheus. Clients of NATS stand on this layer, so that it is the first that is there, and the last.
 */
import { Layer } from "effect"
import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
import { HttpRouter } from "effect/http"
import { PrometheusMetrics } from "effect/observability"

export const Http = HttpRouter.serve(
  Layer.mergeAll(NatsHealthHttp.layer(), PrometheusMetrics.layerHttp()),
  { disableLogger: true }
)
