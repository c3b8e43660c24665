-- sse.stream: a stream of one's own, fed by a coroutine.

local options = require "sse.options"

local M = {}

local RULES = {
  retry = { type = "duration" },
  heartbeat = { type = "duration", default = 15 },
}

---@class sse.Stream
local Stream = {}
Stream.__index = Stream
M.class = Stream

--- Describes a stream that `fn` feeds; return it from a handler. `fn` runs as a coroutine for each client
--- and gets it: client:send(event) waits while its reader is behind. When the client leaves, the coroutine
--- ends where it waits and its to-be-closed variables run; when `fn` returns, the stream ends.
---@param fn fun(client: sse.Client)
---@param given { retry: string|number|nil, heartbeat: string|number|nil }?
---@return sse.Stream
function M.new(fn, given)
  options.argument("sse.stream", 1, "function", fn, "function")
  local checked = options.check("sse.stream", given, RULES)
  return setmetatable({ fn = fn, retry = checked.retry, heartbeat = checked.heartbeat }, Stream)
end

---@param req sse.Request
---@param headers table
function Stream:open(req, headers)
  local first = ":\n\n"
  if self.retry then
    first = first .. ("retry: %d\n\n"):format(self.retry * 1000 // 1)
  end
  req.handle:stream(self.fn, math.tointeger(self.heartbeat * 1000 // 1), first, headers, req)
end

return M
