-- Dates as HTTP writes them (RFC 9110, 5.6.7), always in English and in UTC.

local M = {}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local MONTH_NUMBERS = {}
for number, name in ipairs(MONTHS) do
  MONTH_NUMBERS[name] = number
end

--- "Sun, 06 Nov 1994 08:49:37 GMT" for seconds since 1970.
---@param seconds integer
---@return string
function M.format(seconds)
  local date = os.date("!*t", seconds)
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(
    DAYS[date.wday], date.day, MONTHS[date.month], date.year, date.hour, date.min, date.sec)
end

--- Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so that a leap
--- day is the last of its year.
local function days_since_1970(year, month, day)
  local shifted = (month + 9) % 12
  year = year - (month <= 2 and 1 or 0)
  local era = year // 400
  local year_of_era = year - era * 400
  local day_of_year = (153 * shifted + 2) // 5 + day - 1
  return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
end

--- A year of two digits, which means the past when it would be more than 50 years ahead.
local function whole_year(short)
  local this_year = os.date("!*t").year
  local year = this_year // 100 * 100 + short
  return year > this_year + 50 and year - 100 or year
end

local function fields_of(text)
  local day, month, year, clock = text:match "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) ([%d:]+) GMT$"
  if day then
    return day, month, tonumber(year), clock
  end
  day, month, year, clock = text:match "^%a+, (%d%d)-(%a%a%a)-(%d%d) ([%d:]+) GMT$"
  if day then
    return day, month, whole_year(tonumber(year)), clock
  end
  month, day, clock, year = text:match "^%a%a%a (%a%a%a) ([ %d]%d) ([%d:]+) (%d%d%d%d)$"
  return day, month, tonumber(year), clock
end

--- Seconds since 1970 of a date in any of HTTP's three forms; nil when it is none.
---@param text string
---@return integer?
function M.parse(text)
  local day, month_name, year, clock = fields_of(text)
  local month = MONTH_NUMBERS[month_name]
  local hour, minute, second = (clock or ""):match "^(%d%d):(%d%d):(%d%d)$"
  if not month or not hour then
    return nil
  end
  day, hour, minute, second = tonumber(day), tonumber(hour), tonumber(minute), tonumber(second)
  if day < 1 or day > 31 or hour > 23 or minute > 59 or second > 60 then
    return nil
  end
  return days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end

return M
