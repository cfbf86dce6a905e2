-- wrk -s wrk.lua URL -- METHOD BODY: what is asked; in the last line, what benchmarks/serving.py reads.

function init(args)
  wrk.method, wrk.body = args[1], args[2]
  wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  local p50, p99 = latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  print(summary.requests, bad, summary.duration / 1e6, p50, p99)
end
