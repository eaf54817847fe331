-- For wrk: send the requests of a file in turn, and print what came of it as one line of JSON.
-- The file holds, for each request, its length in bytes, a newline, and the request itself.
local requests, at = {}, 0

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   for length in file:lines() do
      table.insert(requests, file:read(tonumber(length)))
   end
   file:close()
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"answers": %d, "microseconds": %d, "median": %d, "p99": %d, "refused": %d, "broken": %d}',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
