-- What an upstream leaves to the one of the same definition in the script that takes over: its connection, what was
-- read of it, and when it comes back. That is to say, the other server does not notice a reload.

local event_reader = require "sse.event_reader"
local core = require "sse.core"
local json = require "sse.json"
local signature = require "sse.signature"

local M = {}

--- The same text for the same connection in another version of the script. What is done with the events is no part of
--- it: the new version's function, or channel, gets those that follow.
---@param url string
---@param given table? options
---@return string
function M.definition(url, given)
  return core.hmac("sha256", "", signature.of({}, { "upstream", url, given }))
end

--- Leaves what there is to the upstream that takes over, if there is one.
---@param self table the upstream
function M.leave(self)
  local place, bytes = nil, ""
  if self.transfer and self.state == "open" then
    place, bytes = self.reader:place()
  end
  local text = json.encode {
    last_event_id = self.last_event_id,
    retry = self.retry,
    ahead = self.ahead,
    due = self.due,
    attempts = self.attempts.count,
    stored = self.storing.count,
    place = place,
    events = json.array(table.move(self.events, self.taken + 1, #self.events, 1, {})),
  }
  local transfer = self.transfer
  self.transfer = nil
  self.legacy:leave(string.pack("<s4s4", text, bytes), transfer)
end

--- Takes what the upstream before has left, if there is one; waits while that one is busy with an event.
---@param self table the upstream
function M.inherit(self)
  while self.legacy:awaits() do
    self.bell:wait()
  end
  local packed, transfer = self.legacy:take()
  if not packed then
    return
  elseif self.state == "closed" then
    self.transfer = transfer
    return
  end
  local text, bytes = string.unpack("<s4s4", packed)
  local left = json.decode(text)
  self.last_event_id, self.retry, self.ahead, self.due = left.last_event_id, left.retry, left.ahead, left.due
  self.attempts.count, self.storing.count = left.attempts, left.stored
  self.transfer, self.kept.id = transfer, left.last_event_id
  if left.place then
    self.state, self.events, self.taken = "open", left.events, 0
    self.reader = event_reader.resume(left.place, bytes, core.event_limit())
  end
  core.log("debug", self.what .. ": goes on after the reload")
end

return M
