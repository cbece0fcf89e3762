import { captureService } from '../../capture/main.js'
import { serviceCommand } from '../service_command.js'

export const capture = serviceCommand(captureService)
