import { decodeService } from '../../decode/main.js'
import { serviceCommand } from '../service_command.js'

export const decode = serviceCommand(decodeService)
