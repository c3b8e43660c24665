-- Reads an event stream (HTML standard, 9.2.6), however its bytes are cut.

local core = require "sse.core"

local M = {}

local BYTE_ORDER_MARK = "\u{FEFF}"
local REPLACEMENT = "\u{FFFD}"

---@class sse.ReceivedEvent
---@field event string? its name; nil for "message"
---@field data string
---@field id string the last id that the stream has sent, "" for none
---@field bears_id boolean? whether the event itself has it

---@class sse.EventReader
---@field last_event_id string
---@field retry number? seconds that the stream has asked for
---@field skipped integer events that were larger than the limit
local Reader = {}
Reader.__index = Reader

--- A reader of one response. Events with more than `limit` bytes are left out.
---@param last_event_id string
---@param limit integer
---@return sse.EventReader
function M.new(last_event_id, limit)
  local self = setmetatable({ id = last_event_id, last_event_id = last_event_id, limit = limit }, Reader)
  self.skipped, self.start = 0, ""
  self.rest, self.rest_size = {}, 0
  self:clear()
  return self
end

--- Where it is in the stream, for a reader that goes on there: plain data, and bytes of a line that is not complete.
---@return table place
---@return string bytes
function Reader:place()
  return {
    id = self.id,
    last_event_id = self.last_event_id,
    data = self.data,
    data_size = self.data_size,
    name = self.name,
    bears_id = self.bears_id,
    skipping = self.skipping,
    after_return = self.after_return,
    begun = not self.start,
  }, self.start or table.concat(self.rest)
end

--- A reader that goes on at a place of another.
---@param place table
---@param bytes string
---@param limit integer
---@return sse.EventReader
function M.resume(place, bytes, limit)
  local self = M.new("", limit)
  for name, value in pairs(place) do
    self[name] = value
  end
  self.begun, self.start = nil, not place.begun and bytes or nil
  if place.begun and bytes ~= "" then
    self.rest, self.rest_size = { bytes }, #bytes
  end
  return self
end

function Reader:clear()
  self.data, self.data_size, self.name, self.bears_id = {}, 0, nil, nil
end

--- How many bytes from `at` on make one character, or how many of a broken one are replaced together.
local function span(text, at)
  local lead = text:byte(at)
  local count, low, high = 0, 0x80, 0xBF
  if lead < 0x80 then
    return 1, true
  elseif lead >= 0xC2 and lead <= 0xDF then
    count = 1
  elseif lead >= 0xE0 and lead <= 0xEF then
    count, low, high = 2, lead == 0xE0 and 0xA0 or low, lead == 0xED and 0x9F or high
  elseif lead >= 0xF0 and lead <= 0xF4 then
    count, low, high = 3, lead == 0xF0 and 0x90 or low, lead == 0xF4 and 0x8F or high
  end
  for index = 1, count do
    local byte = text:byte(at + index)
    if not byte or byte < low or byte > high then
      return index, false
    end
    low, high = 0x80, 0xBF
  end
  return count + 1, count > 0
end

--- UTF-8 as the Encoding standard decodes it: what is broken becomes U+FFFD.
function M.decode_utf8(text)
  if core.is_utf8(text) then
    return text
  end
  local parts, at = {}, 1
  while at <= #text do
    local size, whole = span(text, at)
    parts[#parts + 1] = whole and text:sub(at, at + size - 1) or REPLACEMENT
    at = at + size
  end
  return table.concat(parts)
end

local fields = {}

function fields.event(self, value)
  self.name = value
end

function fields.data(self, value)
  self.data[#self.data + 1] = value
  self.data_size = self.data_size + #value + 1
end

function fields.id(self, value)
  if not value:find("\0", 1, true) then
    self.id, self.bears_id = value, true
  end
end

function fields.retry(self, value)
  if value:match "^%d+$" then
    self.retry = math.min(tonumber(value) / 1000, 86400)
  end
end

--- A blank line: the event is complete.
local function dispatch(self, events)
  self.last_event_id = self.id
  if self.skipping then
    self.skipping, self.skipped = false, self.skipped + 1
  elseif #self.data > 0 then
    events[#events + 1] = {
      event = self.name ~= "" and self.name or nil,
      data = table.concat(self.data, "\n"),
      id = self.id,
      bears_id = self.bears_id,
    }
  end
  self:clear()
end

local function read_line(self, line, events)
  if line == "" then
    return dispatch(self, events)
  end
  local name, value = line:match "^([^:]*):? ?(.*)$"
  local take = fields[name]
  if take and not (self.skipping and take == fields.data) then
    take(self, M.decode_utf8(value))
  end
end

--- Keeps memory bounded: what has become too large is dropped up to its blank line.
local function check_size(self)
  if self.data_size + self.rest_size > self.limit then
    self.skipping = true
    self.data, self.data_size = {}, 0
    if self.rest_size > 0 then
      -- A comment in the place of the line, so that its end is no blank line.
      self.rest, self.rest_size = { ":" }, 1
    end
  end
end

--- Takes the bytes without a byte order mark at their start; nil while that is undecided.
local function without_mark(self, bytes)
  if not self.start then
    return bytes
  end
  local start = self.start .. bytes
  if #start < #BYTE_ORDER_MARK and start == BYTE_ORDER_MARK:sub(1, #start) then
    self.start = start
    return nil
  end
  self.start = nil
  return start:sub(1, #BYTE_ORDER_MARK) == BYTE_ORDER_MARK and start:sub(#BYTE_ORDER_MARK + 1) or start
end

local function end_line(self, text, events)
  if self.rest_size > 0 then
    self.rest[#self.rest + 1] = text
    text = table.concat(self.rest)
    self.rest, self.rest_size = {}, 0
  end
  read_line(self, text, events)
  check_size(self)
end

--- Takes the next bytes of the response; gives the events that they complete.
---@param bytes string
---@return sse.ReceivedEvent[]
function Reader:feed(bytes)
  local events, at = {}, 1
  bytes = without_mark(self, bytes)
  if not bytes or bytes == "" then
    return events
  end
  if self.after_return and bytes:byte(1) == 10 then
    at = 2
  end
  self.after_return = false
  local stop = bytes:find("[\r\n]", at)
  while stop do
    end_line(self, bytes:sub(at, stop - 1), events)
    at = stop + 1
    if bytes:byte(stop) == 13 then
      self.after_return = at > #bytes
      at = bytes:byte(at) == 10 and at + 1 or at
    end
    stop = bytes:find("[\r\n]", at)
  end
  if at <= #bytes then
    self.rest[#self.rest + 1] = bytes:sub(at)
    self.rest_size = self.rest_size + #bytes - at + 1
    check_size(self)
  end
  return events
end

return M
