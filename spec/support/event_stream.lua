-- The HTML standard's section 9.2.6, "Interpreting an event stream", clause by clause. Pure: it is fed
-- with bytes in any portions and calls back. It is the oracle that the router's bytes are held against,
-- so it follows the text of the standard rather than what the router sends.

local utf8_decode = require "spec.support.utf8_decode"

local M = {}

---@class support.Event
---@field event string type, "message" if the stream names none
---@field data string
---@field id string the last event ID at this event, also one that an earlier event set

---@class support.EventStream
---@field last_event_id string the source's last event ID string: what a reconnect would send
---@field reconnection_time integer|nil milliseconds, once the stream has said so
---@field invalid_utf8 integer lines in which bytes had to be replaced
---@field data_lines string[]|nil the data buffer: nil is the empty string, each line ends with LF
local Parser = {
  last_event_id = "",
  id_buffer = "",
  type_buffer = "",
  tail = "",
  at_start = true,
  after_cr = false,
  invalid_utf8 = 0,
}
Parser.__index = Parser

local byte_order_mark = "\xEF\xBB\xBF"

--- Methods of `handlers`, all optional: `:on_event(event)`, `:on_comment(text)`, `:on_retry(milliseconds)`.
--- `last_event_id` carries the id over a reconnect, as browsers do.
---@param handlers table
---@param last_event_id string|nil
---@return support.EventStream
function M.new(handlers, last_event_id)
  return setmetatable({ handlers = handlers, last_event_id = last_event_id, id_buffer = last_event_id }, Parser)
end

local function call(self, name, argument)
  local handlers = self.handlers
  local method = handlers[name]
  if method then
    method(handlers, argument)
  end
end

--- "Dispatch the event": the id counts even when there is nothing to dispatch.
local function dispatch(self)
  self.last_event_id = self.id_buffer
  local lines, kind = self.data_lines, self.type_buffer
  self.data_lines, self.type_buffer = nil, nil
  if lines then
    call(self, "on_event", {
      event = kind == "" and "message" or kind,
      data = table.concat(lines, "\n"),
      id = self.last_event_id,
    })
  end
end

--- "Process the field"; names are compared literally, without folding case.
local function process_field(self, name, value)
  if name == "event" then
    self.type_buffer = value
  elseif name == "data" then
    self.data_lines = self.data_lines or {}
    table.insert(self.data_lines, value)
  elseif name == "id" then
    if not value:find("\0", 1, true) then
      self.id_buffer = value
    end
  elseif name == "retry" and value:find "^[0-9]+$" then
    self.reconnection_time = tonumber(value)
    call(self, "on_retry", self.reconnection_time)
  end
end

local function process_line(self, line)
  local text, valid = utf8_decode.decode(line)
  if not valid then
    self.invalid_utf8 = self.invalid_utf8 + 1
  end
  if text == "" then
    dispatch(self)
    return
  end
  local colon = text:find(":", 1, true)
  if colon == 1 then
    call(self, "on_comment", text:sub(2))
  elseif colon then
    local value = text:sub(colon + 1)
    process_field(self, text:sub(1, colon - 1), value:sub(1, 1) == " " and value:sub(2) or value)
  else
    process_field(self, text, "")
  end
end

--- One leading byte order mark is dropped. Gives nothing while the bytes may yet become one.
local function without_mark(self, bytes)
  if not self.at_start then
    return bytes
  end
  bytes = self.tail .. bytes
  self.tail = nil
  if #bytes < 3 and bytes == byte_order_mark:sub(1, #bytes) then
    self.tail = bytes
    return nil
  end
  self.at_start = false
  return bytes:sub(1, 3) == byte_order_mark and bytes:sub(4) or bytes
end

--- A line ends with CR LF, LF or CR. A CR ends it at once: waiting to see whether an LF follows would hold
--- an event back.
---@param bytes string
function Parser:feed(bytes)
  local rest = without_mark(self, bytes)
  if not rest then
    return
  end
  local from = 1
  while from <= #rest do
    if self.after_cr and rest:byte(from) == 10 then
      from = from + 1
    end
    self.after_cr = false
    local stop = rest:find("[\r\n]", from)
    if not stop then
      break
    end
    local line = self.tail .. rest:sub(from, stop - 1)
    self.tail = nil
    self.after_cr = rest:byte(stop) == 13
    from = stop + 1
    process_line(self, line)
  end
  if from <= #rest then
    self.tail = self.tail .. rest:sub(from)
  end
end

--- The end of the stream: an event without its empty line is discarded.
function Parser:finish()
  self.tail, self.data_lines, self.type_buffer = nil, nil, nil
  self.id_buffer = self.last_event_id
end

return M
