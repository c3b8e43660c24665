-- The new lines of a log file, and a page with a filter box: only lines with that text are sent. The file
-- may be rotated, truncated or removed; without LOG_FILE this script writes one of its own to show.
--   LOG_FILE=/var/log/syslog ./dev run examples/logs.lua    and open http://127.0.0.1:8080/
--   curl -N 'http://127.0.0.1:8080/events?filter=error'

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local path = os.getenv "LOG_FILE"

local function write_demo()
  local texts = {
    "info  GET /cart 200", "info  GET /login 302", "info  payment accepted", "warn  slow query: 2.4 s",
    "error no route to host",
  }
  path = os.tmpname()
  local file = assert(io.open(path, "a"))
  sse.every("700ms", function()
    file:write(("%s %s\n"):format(os.date "!%H:%M:%S", texts[math.random(#texts)]))
    file:flush()
  end)
  sse.on("shutdown", function() os.remove(path) end)
end

if not path then write_demo() end

sse.channel("lines", { history = 1000 })
sse.tail(path, { channel = "lines" })

sse.filter("contains", function(event, text)
  return event.data:lower():find(text, 1, true)
end)

sse.get("/", sse.file "logs.html")

sse.get("/events", function(req)
  local text = (req.query.filter or ""):lower()
  return sse.subscribe {
    "lines",
    history = 200,                                -- those before, of which the filter lets through
    filter = text ~= "" and { "contains", text } or nil,
    retry = "1s",
  }
end)
